"""Plain systolic arrays that a hardware file alone describes."""
