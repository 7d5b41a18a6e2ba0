"""Measurements by lines of JSON: one request per line, one reply per line, one model for all of them.

Request ``{"parameters": {...}, "output": "FOLDER"}``; reply ``{"metrics": {...}}`` or ``{"error": "one sentence"}``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from focal_common.errors import ConfigError, FocalError

__all__ = ["serve"]

Measure = Callable[[Mapping[str, Any], Path], Mapping[str, float]]


def serve(measure: Measure, requests: Iterable[str], replies: TextIO) -> None:
    """Answer requests until they end; a request that fails is answered with the reason.

    Args:
        measure: Of parameters and output folder.
        requests: Lines.
        replies: Flushed after each line.
    """
    for line in requests:
        if not line.strip():
            continue
        try:
            parameters, output = _read(line)
            reply: dict[str, Any] = {"metrics": dict(measure(parameters, output))}
        except FocalError as error:
            reply = {"error": " ".join(str(error).split())}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _read(line: str) -> tuple[Mapping[str, Any], Path]:
    try:
        request = json.loads(line)
        return dict(request["parameters"]), Path(request["output"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f'expected {{"parameters": {{...}}, "output": "FOLDER"}}, got {line[:80]!r}'
        ) from error
