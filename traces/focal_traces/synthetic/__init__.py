"""Traces without a model: scheduled, or fitted to published results."""
