"""The one reader of JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, FocalError
from focal_common.reading.doors import MOST_TEXT_BYTES, one_line, read_bytes, read_text
from focal_common.reading.values import MOST_DEPTH, check_tree

# What could make a number beyond 64 bits or beyond all bounds, text that cannot be written again, or a deep tree.
_SUSPICIOUS = re.compile(r"[0-9]{19}|[eE][+]?[0-9]{3}|\\u[0dD][0-9a-fA-F]|NaN|Infinity")
_MOST_VALUES = 20_000_000

_LINES = json.JSONEncoder(allow_nan=False)

SEAL = "content_sha256"
"""Field that holds half of the SHA-256 of all others."""


def parse_json(text: str, where: str, error: type[FocalError] = ConfigError, hint: str = "") -> Any:
    """Return what JSON text holds.

    Args:
        text: The document.
        where: File name for messages.
        error: What to raise.
        hint: Ends the sentence, such as what to do.

    Raises:
        FocalError: Not JSON, a key twice, ``NaN`` or ``Infinity``, a number beyond 64 bits, half a character, or more
            than 64 lists and objects in one another.
    """
    try:
        tree = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as problem:
        reason = (
            "too many lists or objects in one another"
            if isinstance(problem, RecursionError)
            else one_line(problem)
        )
        raise error(f"{where}: not JSON as expected ({reason}){f'; {hint}' if hint else ''}") from problem
    try:
        if _SUSPICIOUS.search(text) or text.count("[") + text.count("{") > MOST_DEPTH:
            check_tree(tree, most_values=_MOST_VALUES)
    except ValueError as problem:
        raise error(f"{where}: {problem}{f'; {hint}' if hint else ''}") from problem
    return tree


def parse_object(
    text: str, where: str, error: type[FocalError] = ConfigError, hint: str = ""
) -> dict[str, Any]:
    """Return the object that JSON text holds; see `parse_json`."""
    tree = parse_json(text, where, error, hint)
    if not isinstance(tree, dict):
        end = f"; {hint}" if hint else ""
        raise error(f"{where}: expected a JSON object, got {type(tree).__name__}{end}")
    return tree


def read_json(path: Path, error: type[FocalError] = ConfigError, hint: str = "") -> dict[str, Any]:
    """Return the object that a JSON file holds; see `parse_json` and `read_text`."""
    return parse_object(read_text(path, error, hint=hint), str(path), error, hint)


def read_json_lines(
    path: Path,
    error: type[FocalError] = ConfigError,
    hint: str = "",
    most_bytes: int = 16 * MOST_TEXT_BYTES,
) -> Iterator[dict[str, Any]]:
    """Yield the object of each line of a file of JSON lines; see `parse_json`."""
    content = read_bytes(path, error, most_bytes, hint)
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line or number == 1:
            yield parse_line(line, f"{path}, line {number}", error, hint)


def parse_line(
    line: bytes, where: str, error: type[FocalError] = ConfigError, hint: str = ""
) -> dict[str, Any]:
    """Return the object of one line; see `parse_json`."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{where}: not UTF-8 text{f'; {hint}' if hint else ''}") from problem
    return parse_object(text, where, error, hint)


def sealed(tree: dict[str, Any]) -> dict[str, Any]:
    """Return an object with one more field, `SEAL`: the hash of all others."""
    return {**tree, SEAL: _seal(tree)}


def unsealed(
    tree: dict[str, Any], where: str, error: type[FocalError] = ConfigError, hint: str = ""
) -> dict[str, Any]:
    """Return an object that `sealed` gave, without its seal.

    Raises:
        FocalError: Something in it was changed, or it has no seal.
    """
    content = dict(tree)
    if content.pop(SEAL, None) != _seal(content):
        found = "does not have the hash that it records" if SEAL in tree else f"has no field '{SEAL}'"
        end = f"; {hint}" if hint else ""
        raise error(f"{where}: damaged, changed, or of an older Focal: the content {found}{end}")
    return content


def sealed_line(tree: dict[str, Any]) -> bytes:
    """Return an object as a line of JSON with one more field, `SEAL`: the hash of the text before it.

    Written in one go, which journals of many lines need; in `sealed` the order of the fields does not matter.
    """
    text = _LINES.encode(tree)
    return f'{text[:-1]}, "{SEAL}": "{_half_sha256(text)}"}}\n'.encode("ascii")


def unsealed_line(line: bytes, where: str) -> dict[str, Any]:
    """Return the object of a line that `sealed_line` gave, without its seal.

    Raises:
        ConfigError: It is torn, something in it was changed, or it has no seal.
    """
    tree = parse_line(line, where)
    tree.pop(SEAL, None)
    if sealed_line(tree) != line:
        raise ConfigError(f"{where}: torn, damaged, changed, or of an older Focal")
    return tree


def as_json(tree: Any) -> Any:
    """Return a tree as a reader of its JSON will see it: tuples are lists."""
    return json.loads(json.dumps(tree))


def _seal(tree: dict[str, Any]) -> str:
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return _half_sha256(text)


def _half_sha256(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r:.40} twice in one object")
    return found
