"""The contracts of plug-ins as classes of tests: inherit one in a test file of your own and name your plug-in.

    from focal.testing import AcceleratorContract

    class TestMyArray(AcceleratorContract):
        accelerator = "my_array"

Focal's own plug-ins are held by the same classes. This is the one package that needs pytest; it loads torch only where
a method or a family is tested.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from focal.testing.accelerators import AcceleratorContract, ParityContract
    from focal.testing.families import FamilyContract
    from focal.testing.methods import MethodContract

__all__ = ["AcceleratorContract", "FamilyContract", "MethodContract", "ParityContract"]

_HOMES = {
    "AcceleratorContract": "focal.testing.accelerators",
    "ParityContract": "focal.testing.accelerators",
    "FamilyContract": "focal.testing.families",
    "MethodContract": "focal.testing.methods",
}

# Failed assertions then show their values, as in a test file.
pytest.register_assert_rewrite(*set(_HOMES.values()))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'focal.testing' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
