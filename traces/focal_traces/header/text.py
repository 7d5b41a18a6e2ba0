"""The header as JSON text inside a trace file, and the refusal of files from a newer Focal."""

from __future__ import annotations

import json
from typing import Any

from focal_common import __version__
from focal_common.config import validated
from focal_common.errors import ConfigError, TraceError
from focal_common.reading.doors import one_line
from focal_common.reading.json_files import parse_object
from focal_traces.header.schema import SCHEMA_VERSION, TraceHeader


def header_to_text(header: TraceHeader) -> str:
    """Return the header as compact JSON with sorted keys, so equal headers give equal bytes.

    Raises:
        TraceError: ``parameters`` holds something JSON cannot carry.
    """
    tree = header.model_dump(mode="json")
    # Older readers refuse unknown fields, and traces without these keep their bytes.
    if header.model_shape is None:
        del tree["model_shape"]
    if not header.quantization:
        del tree["quantization"]
    for sample in tree["samples"]:
        if not sample["pictures"]:
            del sample["pictures"]
    try:
        return json.dumps(
            tree,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
    except ValueError as error:
        raise TraceError(
            f"header of {header.model}/{header.dataset}: field 'parameters' must hold finite JSON values "
            f"({one_line(error)})"
        ) from error


def text_to_header(text: str, where: str) -> TraceHeader:
    """Parse and check a header.

    Args:
        text: JSON text.
        where: File name for messages.

    Raises:
        TraceError: Not JSON, a newer schema, or a field that is missing, unknown or out of range.
    """
    tree = parse_object(text, f"{where}: the header", TraceError)
    check_version(tree.get("schema_version"), where)
    try:
        return validated(TraceHeader, tree, where)
    except ConfigError as error:
        raise TraceError(str(error)) from error


def check_version(version: Any, where: str) -> None:
    """Refuse a schema version this Focal cannot read.

    Raises:
        TraceError: Saying which schema the file needs and which this Focal reads.
    """
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise TraceError(
            f"{where}: field 'schema_version' must be a whole number from 1, got {version!r:.40}"
        )
    if version > SCHEMA_VERSION:
        raise TraceError(
            f"{where}: written with trace schema {version}, but Focal {__version__} reads schemas up to "
            f"{SCHEMA_VERSION}; install a newer Focal to read it"
        )
