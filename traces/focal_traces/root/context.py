"""Where the header of a published file comes from: a given file, a trace beside it, its trace root."""

from __future__ import annotations

import json
from pathlib import Path

from focal_common.errors import TraceError
from focal_traces.files.store import COUNTS_SUFFIX, MASKS_SUFFIX, check_readable, read_any
from focal_traces.header.schema import TraceHeader
from focal_traces.header.text import text_to_header
from focal_traces.root.workload_header import context_of_published

__all__ = ["find_context", "header_of_file"]


def find_context(path: Path, header_file: Path | None = None) -> TraceHeader | None:
    """Return the header to read ``path`` with if it turns out to be published.

    Args:
        path: A trace file of any tier.
        header_file: JSON header, what ``focal trace info`` prints as JSON, or a trace whose header fits; None to
            look for ``NAME.counts.parquet`` beside ``NAME.pth``, then for ``meta_data.csv`` above its folder.

    Raises:
        TraceError: ``header_file`` or the ``meta_data.csv`` found is wrong.
    """
    if header_file is not None:
        return header_of_file(header_file)
    beside = path.with_name(path.stem + COUNTS_SUFFIX)
    is_published_name = path.suffix == ".pth" and not path.name.endswith(MASKS_SUFFIX)
    if is_published_name and beside.is_file():
        return header_of_file(beside)
    return context_of_published(path)


def header_of_file(path: Path) -> TraceHeader:
    """Read a header from a JSON file or from a trace; a trace of many samples gives its chosen one.

    Raises:
        TraceError: Neither, or damaged.
    """
    if path.suffix == ".json":
        check_readable(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TraceError(f"{path}: cannot be read as UTF-8 text ({error})") from error
        header = text_to_header(_inner(text), str(path))
    else:
        _, trace = read_any(path, context_of_published(path))
        header = trace.header
    chosen = header.median_index or 0
    return header.model_copy(update={"samples": (header.samples[chosen],), "median_index": None})


def _inner(text: str) -> str:
    # What `focal trace info` prints holds the header under its own key.
    try:
        tree = json.loads(text)
    except ValueError:
        return text
    return (
        json.dumps(tree["header"])
        if isinstance(tree, dict) and isinstance(tree.get("header"), dict)
        else text
    )
