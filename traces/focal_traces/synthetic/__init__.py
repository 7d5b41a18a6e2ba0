"""Traces without a model: seeded, scheduled, or fitted to published results."""
