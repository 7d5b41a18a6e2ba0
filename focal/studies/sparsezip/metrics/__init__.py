"""Scores of benchmarks from lists of answers: pure functions, no files."""
