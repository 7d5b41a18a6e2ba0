"""Checkpoints in layouts that transformers does not read, rewritten for its classes."""
