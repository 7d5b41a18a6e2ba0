"""Roofline estimates of whole inferences on GPUs."""
