"""Answers of offline models to the procedural benchmarks, fast: one prefill a question, vision towers run once."""
