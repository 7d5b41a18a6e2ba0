"""File locks of one host: wait for a file, or learn at once that another process holds it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from focal_common.errors import RunError
from focal_common.files import open_lock_file

__all__ = ["study_lock", "waiting_lock"]


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Hold a lock file, waiting for whoever holds it; the kernel frees it when a process dies.

    Raises:
        RunError: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_lock_file(path)
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be written ({error.strerror})") from error
    # The file stays: removing it would let two processes lock two different files.
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold a study folder for one command.

    Raises:
        RunError: Another command works on it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open_lock_file(folder / ".focal.lock")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror})") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{folder}: another sweep is working on this study; wait for it or stop it"
            ) from error
        yield
