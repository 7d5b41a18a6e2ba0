"""No compression: the reference every method is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.study import MethodStudy


@dataclass(frozen=True, kw_only=True)
class Dense(CompressionMethod):
    """The untouched model.

    Paper: none (reference).
    Deviations: none.
    """

    study: ClassVar[MethodStudy] = MethodStudy(ignores_question=True)
