"""Compression methods inside stock vision-language models: hooks, adapters, recording.

The only package that needs torch and transformers. Importing it loads neither.
"""
