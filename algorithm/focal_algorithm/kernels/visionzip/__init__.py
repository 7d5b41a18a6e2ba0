"""Kernels that choose and merge the tokens of a vision tower (VisionZip, CVPR 2025)."""
