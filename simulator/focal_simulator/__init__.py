"""Accelerator models that turn the counts of a sparse trace into cycles, energy and area. Needs no torch."""
