"""Numba kernels over plain arrays and integers; they know no accelerator by name."""
