"""Multiply-accumulates and bytes of a prefill, and what a method spends on its own decisions."""
