"""Names that become part of a path, and folders that Focal may remove.

A name from a file never leads out of the folder it is joined to, nothing is written through a link that leads out,
and a folder is removed only where a marker inside it says that Focal made it.
"""

from __future__ import annotations

import re
import shutil
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from focal_common.errors import ConfigError, FocalError, RunError, TraceError

MARKER = ".made_by_focal"
"""File in every folder that Focal may remove."""

NAME_COLUMNS = ("model", "dataset", "method", "accelerator", "variant", "benchmark")
"""Columns of tables whose cells are plain names."""

_MOST_NAME_BYTES = 64
"""MODEL_DATASET_VARIANT with a suffix and that of a temporary file then fits into the 255 bytes of a file name."""
_MOST_PATH_BYTES = 255

# Separators of all systems, drive letters and streams, and what else Windows forbids in a file name.
_NEVER = re.compile(r'[/\\:*?"<>|]')
# '..' and hidden files; what a spreadsheet takes for the start of a formula. Numbers such as -1 stay.
_NEVER_FIRST = re.compile(r"\A(?:[.=+@ ]|-(?![0-9]))")
_NO_NUMBERS = ("nan", "inf", "infinity")
_NEVER_LAST = re.compile(r"[. ]\Z")


def published_root() -> Path:
    """Return the trace root with the paper's data: in the folder one works in, in the repository, or as installed."""
    places = (Path(), Path(__file__).parents[2], Path(sysconfig.get_path("data")) / "share" / "focal")
    roots = [place / "example_output" / "published" for place in places]
    return next((root for root in roots if root.is_dir()), roots[0])


def plain_name(text: str, where: str, error: type[FocalError] = ConfigError) -> str:
    """Return a name that can be one part of a path, unchanged.

    Args:
        text: One to 64 bytes of printable characters without separators and ``: * ? " < > |``, of which the first is
            none of ``. = + @`` and blank, nor a dash before anything but a digit, and the last no dot or blank;
            not ``nan``, ``inf`` or ``infinity``, which tables would hold as numbers.
        where: File and field for the message, such as ``meta_data.csv, row 2: 'Model'``.
        error: What to raise.

    Raises:
        FocalError: It is no such name; the sentence names the place, the text and what is wrong with it.
    """
    if sentence := _name_sentence(text):
        raise error(f"{where}: {sentence}")
    return text


def plain_path(text: str, where: str, error: type[FocalError] = ConfigError) -> str:
    """Return plain names joined by ``/``, at most 255 bytes in all; otherwise as `plain_name`."""
    if sentence := _path_sentence(text):
        raise error(f"{where}: {sentence}")
    return text


def _name_sentence(text: str) -> str:
    """Return what is wrong with a name; empty for nothing."""
    return _sentence(text, _fault(text, _MOST_NAME_BYTES), "a plain name such as focus_main, 1x2x2 or -1")


def _path_sentence(text: str) -> str:
    faults = [fault for part in text.split("/") if (fault := _fault(part, _MOST_PATH_BYTES))]
    fault = faults[0] if faults else _length_fault(text, _MOST_PATH_BYTES)
    return _sentence(text, fault, "plain names, joined by / if there are several")


def _sentence(text: str, fault: str, expected: str) -> str:
    shown = repr(text)
    return fault and f"{shown if len(shown) <= 80 else shown[:77] + '...'} {fault}; expected {expected}"


def _fault(text: str, most_bytes: int) -> str:
    if not text:
        return "is empty"
    if not text.isprintable():
        return "holds a character that cannot be printed"
    if found := _NEVER.search(text):
        return f"holds {found[0]!r}"
    if found := _NEVER_FIRST.search(text):
        return f"starts with {found[0]!r}"
    if found := _NEVER_LAST.search(text):
        return f"ends with {found[0]!r}"
    if text.casefold() in _NO_NUMBERS:
        return "would be read as a number that is not finite"
    return _length_fault(text, most_bytes)


def _length_fault(text: str, most_bytes: int) -> str:
    return f"is longer than {most_bytes} bytes" if len(text.encode()) > most_bytes else ""


def _validator(sentence_of: Callable[[str], str]) -> AfterValidator:
    @lru_cache(maxsize=4096)  # studies of many designs check the same names again and again
    def check(text: str) -> str:
        if sentence := sentence_of(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check)


PlainName = Annotated[str, _validator(_name_sentence)]
"""Field of a file that holds what `plain_name` takes."""
PlainNameOrEmpty = Annotated[str, _validator(lambda text: text and _name_sentence(text))]
PlainPath = Annotated[str, _validator(_path_sentence)]


def as_plain_name(text: str) -> str:
    """Return the name of a user's own file as a name of a sample: ``_`` stands for what a plain name cannot hold."""
    kept = _NEVER.sub("_", "".join(one if one.isprintable() else "_" for one in text))
    return _NEVER_LAST.sub("_", _NEVER_FIRST.sub("_", kept))


def check_names(cells: Mapping[str, Any], where: str, error: type[FocalError] = TraceError) -> None:
    """Refuse a row of a table whose model, dataset, method, accelerator, variant or benchmark is no plain name.

    Args:
        cells: By column; an empty cell names nothing and passes.
        where: File and row for the message.
        error: What to raise.

    Raises:
        FocalError: As `plain_name`.
    """
    for column in NAME_COLUMNS:
        if text := str(cells.get(column) or ""):
            plain_name(text, f"{where}: '{column}'", error)


def check_inside(base: Path, place: Path) -> None:
    """Refuse to write to ``place`` where a symbolic link below ``base`` leads out of it; ``base`` may be a link.

    Raises:
        ConfigError: It does.
    """
    real = place.resolve()
    if not real.is_relative_to(base.resolve()):
        raise ConfigError(
            f"{place}: a symbolic link leads to {real}, outside {base}; remove the link or "
            "choose another output folder",
            about=("output",),
        )


def check_removable(folder: Path) -> None:
    """Refuse a folder that is not Focal's to remove; one that is absent or empty passes.

    Raises:
        ConfigError: It is a link or no folder, or holds something but no marker.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(
            f"{folder}: expected a folder made by Focal; remove it by hand or choose another output folder",
            about=("output",),
        )
    # Listed before the marker is looked for: whoever fills a folder beside us has written the marker first.
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConfigError(
            f"{folder}: holds files but no {MARKER}, so it is not known to be Focal's to remove; remove it by hand "
            "or choose another output folder",
            about=("output",),
        )


def make_folder(folder: Path) -> None:
    """Make a folder that `remove_folder` may remove, or go on with one.

    Raises:
        ConfigError: See `check_removable`.
        RunError: It cannot be written.
    """
    check_removable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).write_text(
            "Focal made this folder and removes it with all it holds.\n", encoding="utf-8"
        )
    except OSError as error:
        raise RunError(f"{folder}: could not be written ({error.strerror or error})") from error


def remove_folder(folder: Path) -> None:
    """Remove a folder of `make_folder` with all it holds, or an empty one; nothing happens where there is none.

    Raises:
        ConfigError: See `check_removable`; nothing is removed.
        RunError: Something in it cannot be removed.
    """
    check_removable(folder)
    if not folder.exists():
        return
    try:
        for place in folder.iterdir():
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            elif place.name != MARKER:
                place.unlink(missing_ok=True)
        # Last, so that what a killed process leaves can still be told and removed.
        (folder / MARKER).unlink(missing_ok=True)
        folder.rmdir()
    except OSError as error:
        raise RunError(f"{folder}: could not be removed ({error.strerror or error})") from error


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that may be renamed to ``target``; what is left of it in the end is removed.

    It lies in ``.NAME.*.work`` beside ``target``, so that a killed process leaves something Focal can tell.

    Raises:
        RunError: The folder of ``target`` cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".work"))
        make_folder(work)
        (work / target.name).mkdir()
    except OSError as error:
        raise RunError(f"{target}: could not be written ({error.strerror or error})") from error
    try:
        yield work / target.name
    finally:
        remove_folder(work)
