"""Writing files so that a reader sees the old content or the new, never half of either."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from focal_common.errors import RunError, UnsupportedError


@contextmanager
def file_lock(
    path: Path, busy: str = "", *, is_shared: bool = False, is_temporary: bool = False
) -> Iterator[None]:
    """Hold a lock file, made where it is absent; one that is a symbolic link is refused.

    The kernel frees the lock when a process dies.

    Args:
        path: Empty file, in a folder that is made if needed.
        busy: What to say when another process holds it; empty to wait for it instead.
        is_shared: Whether others may hold it too, who share it as well.
        is_temporary: Whether to remove the file in the end, where nobody else holds it. Every holder must say so: who
            does not look whether it was removed meanwhile would lock another file than the next one.

    Raises:
        RunError: The folder cannot be written, or another process holds the lock.
        UnsupportedError: The system has no POSIX file locks.
    """
    try:
        import fcntl
    except ImportError as error:
        raise UnsupportedError("files shared by processes need POSIX file locks (Linux, macOS)") from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise RunError(f"{path.parent}: cannot be written ({error.strerror})") from error
    try:
        kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
        try:
            fcntl.flock(lock, kind | (fcntl.LOCK_NB if busy else 0))
            while is_temporary and not _is_at(lock, path):
                os.close(lock)
                path.parent.mkdir(parents=True, exist_ok=True)
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
                fcntl.flock(lock, kind | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise RunError(busy) from error
        try:
            yield
        finally:
            if is_temporary:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is_at(lock, path):
                        path.unlink()
    finally:
        os.close(lock)


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is the one that lies at a path now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; on success it replaces ``target``, on failure it is removed.

    Raises:
        RunError: The disk is full or the folder cannot be written; ``target`` is untouched.
    """
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes the file private; give it the mode an ordinary write would have had.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    except OSError as error:
        raise RunError(
            f"{target}: could not be written ({error.strerror or error}); any earlier file is untouched"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def atomic_write_bytes(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target`` in one step; see `atomic_path` for errors."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def atomic_write_text(target: Path, content: str) -> None:
    """Write UTF-8 text with Unix line ends in one step; see `atomic_path` for errors."""
    # A name of a file that is no UTF-8 is spelt out; every other text has been checked where it came in.
    atomic_write_bytes(target, content.encode("utf-8", "backslashreplace"))


def sha256_of_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
