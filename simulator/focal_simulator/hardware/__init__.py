"""Hardware files: checked fields with units and sources, overrides, precisions."""
