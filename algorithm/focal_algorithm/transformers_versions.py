"""What differs between the versions of transformers that Focal runs on; no other file names a version or an old name.

The installed library is asked what it has, not how it is numbered, wherever it can tell. `OLDEST` and `NEWEST` are the
versions that ``tests/check_versions.py`` runs; it also writes down how that went, in README's table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from focal_common.errors import UnsupportedError

OLDEST = "5.18.0"
"""Before it, forwards took no ``mm_encoder_outputs`` (`focal_algorithm.evaluation.offline`), and LLaVA-OneVision added
the newline of a video outside ``get_video_features`` (`focal_algorithm.models.architectures.llava_video`)."""

NEWEST = "5.24.0"
"""What came after it was not tried; later repairs of 5.24 are let in."""

_WHOLE_TILES = "5.23.0"
"""The oldest that was seen to copy a prompt of several tiles whole for beams (InternVL, SmolVLM); 5.18 mixes them."""

_CACHE_NAMES = ("cache", "past_key_values")  # since 5.24.0, which warns of the other; up to 5.23


@cache
def cache_name() -> str:
    """Return what transformers calls the key-value cache, among the arguments of a forward and in its output.

    Raises:
        UnsupportedError: It is none of the known names.
    """
    from transformers.modeling_outputs import BaseModelOutputWithPast

    known = {field.name for field in fields(BaseModelOutputWithPast)}
    for name in _CACHE_NAMES:
        if name in known:
            return name
    raise UnsupportedError(
        f"transformers {version('transformers')} calls the key-value cache neither {' nor '.join(_CACHE_NAMES)}; "
        f"Focal was run with {OLDEST} to {NEWEST}"
    )


def cache_in(inputs: Mapping[str, Any]) -> Any:
    """Return the key-value cache among the keyword arguments of a forward, or None.

    A caller may still use the old name where the library has the new one, so both are looked for.
    """
    for name in _CACHE_NAMES:
        found = inputs.get(name)
        if found is not None:
            return found
    return None


def cache_of(output: Any) -> Any:
    """Return the key-value cache that a forward handed back, or None."""
    return getattr(output, cache_name())


def version_problem() -> str:
    """Return why the installed transformers is refused, as one sentence; empty if it is in the range that was run."""
    try:
        found = version("transformers")
    except PackageNotFoundError:
        return "tracing a model needs transformers; install 'focal-vlm[algorithm]'"
    if _minor(OLDEST) <= _minor(found) <= _minor(NEWEST):
        return ""
    return (
        f"transformers {found} is installed, and Focal was run with {OLDEST} to {NEWEST}; "
        f"run: pip install 'transformers>={OLDEST},<={NEWEST}'"
    )


def require_known_version() -> None:
    """Raise `UnsupportedError` unless the installed transformers is in the range that was run."""
    if problem := version_problem():
        raise UnsupportedError(problem)


def mixes_tiles() -> bool:
    """Return whether `generate` may repeat the tiles of pictures one by one for beams and several sequences."""
    return _minor(version("transformers")) < _minor(_WHOLE_TILES)


def _minor(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    # What is no version is older than any.
    return (int(found[1]), int(found[2])) if found else (-1, -1)
