"""Kernels of SparseVLM (ICML 2025): text raters, relevance, and recycling inside the decoder."""
