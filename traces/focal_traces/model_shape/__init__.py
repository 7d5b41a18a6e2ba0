"""Shapes of vision-language models, read from their configurations; no weights."""
