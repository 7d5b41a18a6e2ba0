"""The header of a trace: what was run, on what, and how tokens and GEMMs are laid out."""
