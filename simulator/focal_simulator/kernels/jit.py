"""The one way to compile a kernel: Numba with a cache that any change of any kernel source leaves behind.

Numba's own cache looks only at the file of the function that is called. A kernel that inlines a function from
another file would go on using the old one after that file changed: results of code that no longer exists.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., object])

_PACKAGE = Path(__file__).resolve().parents[1]
_KERNEL_FOLDERS = ("dram", "kernels")


@cache
def _cache_folder() -> str:
    # Constants that a kernel takes from a neighbouring file are compiled in, so whole folders count.
    digest = hashlib.sha256()
    for name in (*(f"{folder}/*.py" for folder in _KERNEL_FOLDERS), "hardware/memory.py"):
        for source in sorted(_PACKAGE.glob(name)):
            digest.update(source.read_bytes())
    leaf = f"kernels-{digest.hexdigest()[:16]}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for folder in (_PACKAGE / "__pycache__", home / "focal"):
        if _is_private(folder / leaf):
            return str(folder / leaf)
    # Nowhere to keep it, as in a read-only container: compile anew in each process.
    return str(Path(tempfile.mkdtemp(prefix="focal-kernels-")) / leaf)


def _is_private(folder: Path) -> bool:
    """Make a folder; return whether nobody else can put compiled code, which is run unseen, into it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own, above = folder.lstat(), folder.parent.stat()
    except OSError:
        return False
    user = os.geteuid()
    is_ours = own.st_uid == user and stat.S_ISDIR(own.st_mode) and not own.st_mode & 0o022
    return is_ours and above.st_uid in (0, user) and not above.st_mode & 0o002 and os.access(folder, os.W_OK)


def kernel(function: F) -> F:
    """Compile a function of arrays, integers and named tuples with Numba, cached on disk.

    Args:
        function: Pure function of a module in one of the kernel folders; no ``fastmath``, int64 for cycles.
    """
    return _compiled(function, is_inlined=False)


def inlined_kernel(function: F) -> F:
    """Compile like `kernel`, and put the code into every caller; for short functions of hot loops."""
    return _compiled(function, is_inlined=True)


def _compiled(function: F, *, is_inlined: bool) -> F:
    folder = function.__module__.split(".")[1]
    if folder not in _KERNEL_FOLDERS:
        raise ValueError(f"{function.__module__}: kernels live in {' or '.join(_KERNEL_FOLDERS)}")
    if numba.config.DISABLE_JIT:  # NUMBA_DISABLE_JIT: the functions as they are, for a debugger
        return function
    earlier = numba.config.CACHE_DIR
    # Numba reads this setting when it decorates; nothing else is compiled in between.
    numba.config.CACHE_DIR = _cache_folder()
    try:
        dispatcher = numba.njit(cache=True, forceinline=is_inlined)(function)
    finally:
        numba.config.CACHE_DIR = earlier
    _ignore_literals(dispatcher)
    return dispatcher  # type: ignore[no-any-return]


def _ignore_literals(dispatcher: Any) -> None:
    """Compile a kernel once for all integers.

    Numba types a loop variable that starts at 0 as "the literal 0" before it knows better, and compiles every kernel
    that the loop calls, and what that calls, for this type as well: half of all compilation.
    """
    resolve = dispatcher.get_call_template

    def resolved(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        plain = {name: numba.types.unliteral(kind) for name, kind in kws.items()}
        return resolve(tuple(numba.types.unliteral(kind) for kind in args), plain)

    dispatcher.get_call_template = resolved
