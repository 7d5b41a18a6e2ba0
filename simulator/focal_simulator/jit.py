"""The one way to compile a kernel: Numba with a cache that any change of any kernel source leaves behind.

Numba's own cache looks only at the file of the function that is called. A kernel that inlines a function from
another file would go on using the old one after that file changed: results of code that no longer exists.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

import numba

__all__ = ["kernel"]

F = TypeVar("F", bound=Callable[..., object])

_PACKAGE = Path(__file__).resolve().parent


@cache
def _cache_folder() -> str:
    digest = hashlib.sha256()
    for source in sorted(_PACKAGE.rglob("*.py")):
        text = source.read_bytes()
        if b"@kernel" in text:
            digest.update(text)
    name = f"kernels-{digest.hexdigest()[:16]}"
    beside = _PACKAGE / "__pycache__"
    writable = os.access(beside if beside.is_dir() else _PACKAGE, os.W_OK)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return str((beside if writable else home / "focal") / name)


def kernel(function: F) -> F:
    """Compile a function of arrays, integers and named tuples with Numba, cached on disk.

    Args:
        function: Pure function; no ``fastmath``, int64 for cycles.
    """
    earlier = numba.config.CACHE_DIR
    # Numba reads this setting when it decorates; nothing else is compiled in between.
    numba.config.CACHE_DIR = _cache_folder()
    try:
        return numba.njit(cache=True)(function)  # type: ignore[no-any-return]
    finally:
        numba.config.CACHE_DIR = earlier
