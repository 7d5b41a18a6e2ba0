"""Things every Focal package needs: errors, registries, configuration, provenance, file writing.

Holds no knowledge of models, traces or accelerators.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
