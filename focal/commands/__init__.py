"""The command line: one verb a file, over the functions that Python users call."""
