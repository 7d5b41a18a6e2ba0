"""Writing torch zip files; `focal_common.reading.torch_files` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from focal_common.files import atomic_path
from focal_common.reading.torch_files import torch_module


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
