"""The one reader of torch files: tensors, numbers and text, never code.

torch is imported when a function is called: counts are read where it is not installed.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

from focal_common.errors import FocalError, TraceError, UnsupportedError
from focal_common.reading.doors import MIB, one_line
from focal_common.reading.zip_files import is_zip, open_zip

_MOST_PICKLE_BYTES = 8 * MIB
"""Of the list of what the file holds, which is read in Python: that of a 70B model has less than 1 MiB."""


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


def load_torch(path: Path, error: type[FocalError] = TraceError, hint: str = "") -> Any:
    """Load tensors, numbers and text; refuse anything else.

    Tensors are mapped from the file and read on use. Every byte is first checked against the checksums of the
    archive, because a flipped bit in a mask would otherwise go unseen.

    Args:
        path: Regular file.
        error: What to raise.
        hint: Ends the sentence, such as what to do.

    Raises:
        FocalError: Truncated, damaged, compressed, older than torch 1.6, holding objects that need code to be rebuilt,
            or tensors that are not plain numbers in the file.
        UnsupportedError: torch is not installed.
    """
    torch = torch_module()
    end = f"; {hint}" if hint else ""
    check_torch_file(path, error, hint)
    try:
        with warnings.catch_warnings():
            # A foreign pickle makes torch warn before it refuses; the error below says it in one sentence.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as problem:
        if any(word in str(problem) for word in ("Unsupported global", "Unsupported operand", "GLOBAL")):
            raise error(
                f"{path}: refused: it holds objects other than tensors, numbers and text, and loading them could run "
                f"code{end}"
            ) from problem
        raise _damaged(path, problem, error, end) from problem
    # On damaged input torch lets through whatever its parsers meet: KeyError, struct.error, UnicodeDecodeError,
    # RuntimeError... Nothing of ours runs inside.
    except Exception as problem:
        raise _damaged(path, problem, error, end) from problem
    _check_tensors(torch, content, path, error, end)
    return content


def check_torch_file(path: Path, error: type[FocalError] = TraceError, hint: str = "") -> None:
    """Refuse a file that is no whole archive as torch writes them; see `load_torch`."""
    end = f"; {hint}" if hint else ""
    if not is_zip(path, error):
        raise error(
            f"{path}: refused: truncated or damaged, or not a torch file; expected the zip archive that torch writes "
            f"since version 1.6{end}"
        )
    with open_zip(path, error) as members:
        if not members.are_stored:
            raise error(f"{path}: refused: its members are compressed, which torch does not do{end}")
        lists = [name for name in members.names if name.endswith("/data.pkl")]
        if sum(members.size(name) for name in lists) > _MOST_PICKLE_BYTES:
            raise error(f"{path}: lists more than {_MOST_PICKLE_BYTES} bytes of names{end}")
        members.check()


def _check_tensors(torch: Any, content: Any, path: Path, error: type[FocalError], end: str) -> None:
    """Refuse tensors that are more than numbers of the file: sparse, quantised, on no device, or repeated ones."""
    left, seen = [content], set[int]()
    while left:
        value = left.pop()
        if isinstance(value, torch.Tensor):
            is_plain = value.layout is torch.strided and not value.is_quantized and value.device.type == "cpu"
            if not is_plain or value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise error(
                    f"{path}: holds a tensor that is sparse, repeated or elsewhere, expected plain numbers{end}"
                )
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            left += [*value.keys(), *value.values()] if isinstance(value, dict) else value


def _damaged(path: Path, problem: Exception, error: type[FocalError], end: str) -> FocalError:
    return error(
        f"{path}: truncated or damaged torch file, or not a torch file ({one_line(problem, 120)}){end}"
    )
