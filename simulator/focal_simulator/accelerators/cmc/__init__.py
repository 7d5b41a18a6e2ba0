"""CMC: codec-style motion compensation in front of a systolic array."""
