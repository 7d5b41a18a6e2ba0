"""A trace root: the catalogue of a folder of traces, and its tables."""
