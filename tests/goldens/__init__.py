"""Handlers for golden files, one module per family, found by `check_goldens`."""
