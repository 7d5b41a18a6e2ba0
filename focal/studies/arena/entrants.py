"""Who takes part in an arena: methods as published, and variants that stand beside them under a name of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod
from focal_common.errors import ConfigError, near_matches

__all__ = ["DEFAULT_ENTRANTS", "Entrant", "entrant", "method_behind"]

_VARIANTS = {
    # As published these two number positions anew. Small models take that badly, so that a row of its own tells
    # what the choice of tokens costs and what the numbering does; the SparseZip study uses the same names.
    "visionzip_placed": ("visionzip", {"keeps_positions": True}),
    "sparsezip_placed": ("sparsezip", {"keeps_positions": True}),
}
_NOT_BY_DEFAULT = ("zip_parts",)
"""Not a method of its own, but parts of others; the SparseZip study takes it apart."""


@dataclass(frozen=True)
class Entrant:
    """A method under a name.

    Attributes:
        name: In tables.
        method: Name in `METHODS`, or that of ``own``.
        parameters: Over published or fitted ones.
        own: A method that takes part as it is, registered or not; None for one by name.
    """

    name: str
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    own: CompressionMethod | None = None

    def build(self, evaluator: Evaluator, parameters: Mapping[str, Any] | None = None) -> CompressionMethod:
        """Return the method for a model and its questions, with further parameters over its own."""
        given = {**self.parameters, **(parameters or {})}
        if self.own is not None:
            return replace(self.own, **given)
        return evaluator.method(self.method, given)


DEFAULT_ENTRANTS = (*(name for name in METHODS if name not in _NOT_BY_DEFAULT), *_VARIANTS)


def entrant(name: str) -> Entrant:
    """Return who takes part under a name: a method of `METHODS`, or a variant.

    Raises:
        ConfigError: There is none.
    """
    if name in _VARIANTS:
        return Entrant(name, *_VARIANTS[name])
    if name not in METHODS:
        raise ConfigError(f"unknown method '{name}'; {near_matches(name, [*METHODS, *_VARIANTS])}")
    return Entrant(name, name)


def method_behind(name: str) -> str:
    """Return the method of an entrant: what a variant varies, else the name itself."""
    return _VARIANTS[name][0] if name in _VARIANTS else name
