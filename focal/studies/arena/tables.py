"""The files of an arena: two tables, the manifest, and a page that is written from the rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from focal.studies.arena.page import page
from focal_common.files import atomic_write_text

__all__ = ["write_files"]

_DIGITS = 8
"""Significant digits of figures; more would only be rounding."""


def write_files(
    output: Path,
    rows: Sequence[Mapping[str, Any]],
    kinds: Sequence[Mapping[str, Any]],
    content: Mapping[str, Any],
) -> dict[str, Path]:
    """Write ``arena.csv``, ``kinds.csv``, ``README.md`` and, last, ``arena.json``; return them by role."""
    files = {
        "table": output / "arena.csv",
        "kinds": output / "kinds.csv",
        "page": output / "README.md",
        "manifest": output / "arena.json",
    }
    atomic_write_text(files["table"], _csv(rows))
    atomic_write_text(files["kinds"], _csv(kinds))
    atomic_write_text(files["page"], page(rows, content))
    atomic_write_text(files["manifest"], json.dumps(content, indent=1, sort_keys=True) + "\n")
    return files


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    target = io.StringIO()
    writer = csv.DictWriter(target, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    return target.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)
