"""Model classes that transformers lacks, put together from its parts, and random weights for tests."""
