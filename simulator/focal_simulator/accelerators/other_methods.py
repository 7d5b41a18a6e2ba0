"""Traces of other methods on an accelerator that was modelled with its own: their token counts run, nothing else does.

A method that drops or merges whole tokens makes every GEMM shorter, on any hardware. Replaced single vectors need a
unit that the accelerator does not have.
"""

from __future__ import annotations

from focal_common.errors import UnsupportedError
from focal_simulator.workload.workload import Workload

__all__ = ["other_method_remark", "require_whole_tokens", "runs_other_method"]

_BESIDE_TABLES = "focus"
"""A trace of Focus comes with tables of the baselines' own sparsities, which are what they run then."""


def runs_other_method(own: str, workload: Workload) -> bool:
    """Return whether the counts of a workload come from another method than the accelerator's own.

    Args:
        own: Registry name of the method that the accelerator carries out.
        workload: What to run.
    """
    return workload.counts is not None and workload.method not in ("", _BESIDE_TABLES, own)


def require_whole_tokens(own: str, workload: Workload) -> None:
    """Raise `UnsupportedError` if another method's trace leaves out single vectors."""
    counts = workload.counts
    if counts is not None and bool((counts.unique < counts.tokens * counts.slices).any()):
        raise UnsupportedError(
            f"{own}: the trace of method '{workload.method}' for {workload.label} leaves out single vectors, and "
            f"accelerator '{own}' has no unit that skips them; expected a trace of whole tokens, or of method '{own}'"
        )


def other_method_remark(own: str, workload: Workload) -> list[str]:
    """Return the sentence that goes with such a result; empty for the accelerator's own method."""
    if not runs_other_method(own, workload):
        return []
    return [
        f"{own}: {workload.label} runs the token counts of method '{workload.method}' layer by layer; "
        f"the hardware of method '{own}' idles"
    ]
