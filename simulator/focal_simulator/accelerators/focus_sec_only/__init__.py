"""Focus with its semantic concentrator alone."""
