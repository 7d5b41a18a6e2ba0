"""Accuracy of a model with a method attached: offline benchmarks, and lmms-eval."""
