"""One configuration of the study: which method at which settings, where it acts, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from focal_common.provenance import content_hash


@dataclass(frozen=True)
class Configuration:
    """What one column of answers was made with.

    Attributes:
        name: Of the column.
        part: Of the study.
        place: Where tokens are cut: not at all; ``before`` the decoder, by the vision tower's output; ``inside`` it, as
            the 2 x 2 design cuts; ``hooks``, inside it as SparseVLM cuts.
        method: Registry name; for ``inside``, what scores: ``tower``, ``raters`` or ``projected_text``.
        parameters: Of the method; for ``inside`` ``cut_after``, a layer after which the budget is kept at once, or
            nothing for the proportions of SparseVLM.
        budget: Visual tokens averaged over layers that it aims at, or kept after ``cut_after``; 0 for none in
            particular.
        reads_text: Whether the choice depends on the question.
        with_prefix: Whether CLS joins the tokens, for ``before``.
        keeps_positions: Whether tokens keep their positions; otherwise they are renumbered, as the methods do.
        keeps_text_place: Whether the text keeps its position although tokens are renumbered; for ``before``.
        adaptive: Rule of `AdaptiveK` that sets ``dominant`` per picture; empty for a fixed K.
    """

    name: str
    part: str
    place: Literal["dense", "before", "inside", "hooks"]
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    budget: int = 0
    reads_text: bool = False
    with_prefix: bool = True
    keeps_positions: bool = False
    keeps_text_place: bool = False
    adaptive: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Hash of what decides the answers; name and part do not."""
        return content_hash({k: v for k, v in asdict(self).items() if k not in ("name", "part")})[:16]
