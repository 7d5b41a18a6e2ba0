"""Simulates sparse traces on accelerators. Never imports torch."""
