"""AdapTiV: tokens merged on the fly in front of a vector-parallel core."""
