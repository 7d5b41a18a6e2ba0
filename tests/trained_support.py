"""The trained models that ship, for tests that need learned attention."""

from __future__ import annotations

from importlib.resources import files

import pytest

from focal_algorithm.weights import SHIPPED

needs_weights = pytest.mark.skipif(
    not all((files("focal_algorithm.weights") / name).is_dir() for name in SHIPPED),
    reason="the trained models are not in this tree",
)
