"""Tier 1: how many vectors each tile of each GEMM has to compute."""
