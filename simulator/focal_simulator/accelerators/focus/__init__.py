"""Focus: semantic and similarity concentrators around a systolic array."""
