"""SEC only: Focus with token dropping and without similarity concentration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from focal_algorithm.methods.focus import Focus
from focal_algorithm.methods.study import MethodStudy
from focal_common.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FocusSecOnly(Focus):
    """Semantic concentration alone, the ablation of Focus; its parameters are those of `Focus`.

    Paper: Focus, HPCA 2026, sec. IV and VII-C (ablation).
    Deviations: the trace holds the zero vectors of dropped tokens and no similar vector; the published artifact
        refuses to be asked for one (it writes uninitialised masks).
    """

    name: ClassVar[str] = "focus_sec_only"
    study: ClassVar[MethodStudy] = replace(Focus.study, trace_folder="")

    sec_only: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sec_only:
            raise ConfigError("sec_only must stay true in method focus_sec_only; use method focus")
