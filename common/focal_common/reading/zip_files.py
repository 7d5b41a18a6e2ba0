"""The one reader of zip archives: few members, and together hardly longer than the file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from focal_common.errors import FocalError, TraceError
from focal_common.reading.doors import MIB, one_line, open_regular

_MOST_MEMBERS = 100_000
_MOST_GROWTH_BYTES = 64 * MIB
"""How much longer than the file its members may be together: tables in it are compressed, pictures are already."""


class ZipMembers:
    """The members of an open archive, whose sizes were looked at.

    Args:
        archive: Open for reading.
        path: For messages.
        error: What to raise.
    """

    def __init__(self, archive: zipfile.ZipFile, path: Path, error: type[FocalError]) -> None:
        self._archive = archive
        self._path = path
        self._error = error

    @property
    def names(self) -> list[str]:
        """Names of all members, in file order."""
        return self._archive.namelist()

    @property
    def are_stored(self) -> bool:
        """Whether no member is compressed."""
        return all(one.compress_type == zipfile.ZIP_STORED for one in self._archive.infolist())

    def size(self, name: str) -> int:
        """Return the bytes of a member."""
        return self._archive.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        """Return a member, checked against its checksum.

        Raises:
            FocalError: No such member, or a damaged one.
        """
        if name not in self._archive.NameToInfo:
            raise self._error(f"{self._path}: a zip file without {name}")
        with _sentences(self._path, self._error):
            return self._archive.read(name)

    def check(self) -> None:
        """Compare every member with its checksum; raises `FocalError` for the first that differs."""
        with _sentences(self._path, self._error):
            damaged = self._archive.testzip()
        if damaged is not None:
            raise self._error(f"{self._path}: damaged: the checksum of {damaged!r} inside it does not match")


@contextmanager
def open_zip(path: Path, error: type[FocalError] = TraceError) -> Iterator[ZipMembers]:
    """Open an archive whose directory announces no more than it may.

    Args:
        path: Regular file.
        error: What to raise.

    Raises:
        FocalError: No archive, a damaged one, more than 100,000 members, one twice, an encrypted one, or members that
            are together more than 64 MiB longer than the file.
    """
    with open_regular(path, error) as source:
        with _sentences(path, error):
            archive = zipfile.ZipFile(source)
            members = archive.infolist()
        with archive:
            _check_directory(members, _length(source), path, error)
            yield ZipMembers(archive, path, error)


def is_zip(path: Path, error: type[FocalError] = TraceError) -> bool:
    """Return whether a regular file is an archive whose directory can be found."""
    with open_regular(path, error) as source:
        try:
            return zipfile.is_zipfile(source)
        except zipfile.BadZipFile:
            # Raised, against its documentation, for a directory that claims several disks.
            return False


def _length(source: BinaryIO) -> int:
    return source.seek(0, 2)


def _check_directory(
    members: list[zipfile.ZipInfo], file_bytes: int, path: Path, error: type[FocalError]
) -> None:
    if len(members) > _MOST_MEMBERS:
        raise error(f"{path}: {len(members)} members, expected at most {_MOST_MEMBERS}")
    if len({one.filename for one in members}) != len(members):
        raise error(f"{path}: damaged: one name stands for two members")
    if any(one.flag_bits & 1 for one in members):
        raise error(f"{path}: holds an encrypted member, expected none")
    total = sum(one.file_size for one in members)
    if total > file_bytes + _MOST_GROWTH_BYTES:
        raise error(
            f"{path}: unpacks to {total} bytes, expected at most {_MOST_GROWTH_BYTES} more than the file's {file_bytes}"
        )


@contextmanager
def _sentences(path: Path, error: type[FocalError]) -> Iterator[None]:
    try:
        yield
    # On damaged input zipfile lets through whatever its parsers meet: struct.error, zlib.error, UnicodeDecodeError,
    # RuntimeError, NotImplementedError, EOFError...
    except Exception as problem:
        raise error(f"{path}: missing, truncated or damaged zip file ({one_line(problem)})") from problem
