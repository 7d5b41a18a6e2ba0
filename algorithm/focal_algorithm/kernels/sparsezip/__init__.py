"""Kernels of SparseZip: hybrid scores, dynamic K and merging of the tokens of a vision tower."""
