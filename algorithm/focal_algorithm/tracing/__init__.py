"""Traced runs: samples in, a trace root with its manifest out."""
