"""Reading and writing torch zip files without ever running code from them.

The only module of this package that touches torch, and only when a function is called: counts are read where
torch is not installed.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

from focal_common.errors import TraceError, UnsupportedError
from focal_common.files import atomic_path


def torch_module() -> Any:
    """Import torch on first need.

    Raises:
        UnsupportedError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise UnsupportedError(
            ".pth traces need torch, which is not installed: pip install 'focal-vlm[algorithm]', or use the "
            ".counts.parquet file of the trace"
        ) from error
    return torch


def load_torch(path: Path) -> Any:
    """Load tensors, numbers and text; refuse anything else.

    Tensors are mapped from the file and read on use. Every byte is first checked against the checksums of the
    archive, because a flipped bit in a mask would otherwise go unseen.

    Raises:
        TraceError: Truncated, damaged, or holding objects that need code to be rebuilt.
        UnsupportedError: torch is not installed.
    """
    torch = torch_module()
    is_zip = is_archive(path)
    if is_zip:
        _check_archive(path)
    try:
        with warnings.catch_warnings():
            # A foreign pickle makes torch warn before it refuses; the error below says it in one sentence.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if (
            "Unsupported global" in str(error)
            or "Unsupported operand" in str(error)
            or "GLOBAL" in str(error)
        ):
            raise TraceError(
                f"{path}: refused: it holds objects other than tensors, numbers and text, and loading them "
                "could run code"
            ) from error
        raise _damaged(path, error) from error
    # On damaged input torch and zipfile let through whatever their parsers meet: KeyError, struct.error,
    # UnicodeDecodeError, RuntimeError... Nothing of ours runs inside.
    except Exception as error:
        raise _damaged(path, error) from error


def is_archive(path: Path) -> bool:
    """Return whether the file is a zip archive whose directory can be found."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        # Raised, against its documentation, for a directory that claims several disks.
        return False


def save_torch(content: Any, path: Path) -> None:
    """Write a torch zip file in one step; equal content gives equal bytes.

    Raises:
        RunError: The disk is full or the folder cannot be written; an earlier file is untouched.
    """
    torch = torch_module()
    with atomic_path(path) as temporary:
        try:
            # A file object, not a path: torch would store the temporary name inside the archive.
            with temporary.open("wb") as target:
                torch.save(content, target)
        except RuntimeError as error:
            raise OSError(str(error).splitlines()[0]) from error


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:
        raise _damaged(path, error) from error
    if damaged is not None:
        raise TraceError(f"{path}: damaged: the checksum of {damaged!r} inside it does not match")


def _damaged(path: Path, error: Exception) -> TraceError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return TraceError(f"{path}: truncated or damaged torch file, or not a torch file ({reason})")
