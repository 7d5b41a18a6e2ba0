"""The dense systolic array that every ratio is taken over."""
