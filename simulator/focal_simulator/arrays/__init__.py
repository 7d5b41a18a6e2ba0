"""Several arrays on one memory: how a GEMM is cut into parts. Which cut is best, the engine says."""
