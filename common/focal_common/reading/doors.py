"""Opening files: regular ones only, of a size that is looked at before anything is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from focal_common.errors import ConfigError, FocalError

MIB = 1 << 20
MOST_TEXT_BYTES = 64 * MIB
"""Of a text file; the longest table of ours, the answers of a benchmark, has some megabytes."""


def one_line(error: BaseException, most: int = 160) -> str:
    """Return what a parser said, on one line of printable text; its kind where it said nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(one if one.isprintable() else "?" for one in text)[:most]


@contextmanager
def open_regular(
    path: Path, error: type[FocalError] = ConfigError, most_bytes: int | None = None, hint: str = ""
) -> Iterator[BinaryIO]:
    """Open a file for reading bytes; one that is no regular file, or too long, is refused before it is read.

    Args:
        path: Links are followed.
        error: What to raise.
        most_bytes: Longest file; None for any.
        hint: Ends the sentence, such as what to do.

    Raises:
        FocalError: No such file, a folder, a pipe or device, a file that cannot be opened, or too long a file.
    """
    end = f"; {hint}" if hint else ""
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would be waited for before it can be refused.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as problem:
        raise error(f"{path}: no such file{end}") from problem
    except (OSError, ValueError) as problem:
        # ValueError: a name with a zero byte, which no file can have.
        reason = getattr(problem, "strerror", None) or one_line(problem)
        raise error(f"{path}: cannot be read ({reason}){end}") from problem
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode):
        os.close(handle)
        kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "no regular file but a pipe or device"
        raise error(f"{path}: is {kind}, expected a file{end}")
    with os.fdopen(handle, "rb") as source:
        if most_bytes is not None and facts.st_size > most_bytes:
            raise error(f"{path}: has {facts.st_size} bytes, expected at most {most_bytes}{end}")
        yield source


def read_bytes(
    path: Path, error: type[FocalError] = ConfigError, most_bytes: int = MOST_TEXT_BYTES, hint: str = ""
) -> bytes:
    """Return the content of a file; see `open_regular`."""
    with open_regular(path, error, most_bytes, hint) as source:
        try:
            # A file that grows meanwhile is cut, not followed; Python takes memory for as many bytes as it is told.
            return source.read(os.fstat(source.fileno()).st_size)
        except OSError as problem:
            raise error(f"{path}: cannot be read ({problem.strerror})") from problem


def read_text(
    path: Path, error: type[FocalError] = ConfigError, most_bytes: int = MOST_TEXT_BYTES, hint: str = ""
) -> str:
    """Return the content of a file of UTF-8 text, without a byte-order mark; see `open_regular`."""
    content = read_bytes(path, error, most_bytes, hint)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        end = f"; {hint}" if hint else ""
        raise error(f"{path}: cannot be read as UTF-8 text ({one_line(problem)}){end}") from problem
