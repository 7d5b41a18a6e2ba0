"""One row a method: what it answers beside what it costs, and what the hardware makes of it. The only such table.

``focal arena``, its page, ``focal.compare_methods`` and ``focal trace --task`` show these lines and these columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from focal.studies.arena.plan import DENSE
from focal_simulator.results.ratios import ENERGY, SPEEDUP, over_dense

Line = Mapping[str, Any]

_FROM_ARENA = {
    "model": "model",
    "benchmark": "benchmark",
    "method": "method",
    "budget": "budget",
    "status": "status",
    "reason": "reason",
    "questions": "questions",
    "accuracy_measured": "accuracy",
    "low_measured": "accuracy_low",
    "high_measured": "accuracy_high",
    "unparsable_measured": "unparsable",
    "against_dense_measured": "accuracy_minus_dense",
    "against_dense_low_measured": "accuracy_minus_dense_low",
    "against_dense_high_measured": "accuracy_minus_dense_high",
    "mcnemar_p_measured": "mcnemar_p",
    "visual_tokens": "visual_tokens",
    "equivalent_tokens_measured": "equivalent_tokens",
    "present_tokens_measured": "present_tokens",
    "vector_sparsity_measured": "vector_sparsity",
    "linear_macs_measured": "linear_macs",
    "attention_macs_estimated": "attention_macs",
    "selection_macs_estimated": "selection_macs",
    "own_accelerator": "accelerator",
}
"""Columns of ``arena.csv`` by the name that they have in a line."""

_FIGURES = ("cycles", "energy_mj", "energy_delay_mj_s", "area_mm2")


def arena_lines(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a line for each row of an arena, with the figures of the method's own accelerator.

    Ratios are over the dense method on the dense array, on the same model and benchmark.

    Args:
        rows: Of `arena_rows`.
    """
    dense = {_place(row): row for row in rows if row["method"] == DENSE}
    lines = []
    for row in rows:
        line = {name: row[own] for own, name in _FROM_ARENA.items()}
        line |= {name: row.get(f"{name}_simulated_{line['accelerator']}") for name in _FIGURES}
        base = dense.get(_place(row), {})
        dense_cycles, dense_mj = (base.get(f"{name}_simulated_{DENSE}") for name in ("cycles", "energy_mj"))
        line |= dict.fromkeys((SPEEDUP, ENERGY))
        if line["cycles"] and dense_cycles and dense_mj:
            line |= over_dense(line["cycles"], line["energy_mj"] or 0.0, (dense_cycles, dense_mj))
        lines.append(line)
    return lines


def _place(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["model"], row["benchmark"]


def table_cells(lines: Iterable[Line]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return headings and printed cells of lines; columns of which nothing is known are left out."""
    lines = list(lines)
    cells = {heading: [print_cell(line) for line in lines] for heading, print_cell in _COLUMNS.items()}
    shown = {heading: texts for heading, texts in cells.items() if any(texts)}
    return tuple(shown), [list(one) for one in zip(*shown.values(), strict=True)]


LEFT = ("method", "accelerator", "status")
"""Columns of words; the others are aligned to the right."""


def _number(name: str, form: str, scale: float = 1.0, unit: str = "") -> Callable[[Line], str]:
    def text(line: Line) -> str:
        value = line.get(name)
        return "" if value in (None, "") else f"{scale * value:{form}}{unit}"

    return text


def _budget(line: Line) -> str:
    return "" if line.get("budget", 1) == 1 else f"{line['budget']:.4g}"


def _interval(line: Line) -> str:
    low, high = line.get("accuracy_low"), line.get("accuracy_high")
    return "" if low is None or high is None else f"{100 * low:.1f} - {100 * high:.1f}"


def _no_answer(line: Line) -> str:
    """Return the share of answers that are none of the choices; they count as wrong."""
    asked = line.get("questions")
    return f"{100 * line['unparsable'] / asked:.1f} %" if asked and line.get("unparsable") else ""


_COLUMNS: dict[str, Callable[[Line], str]] = {
    "method": lambda line: str(line["method"]),
    "budget": _budget,
    "accuracy": _number("accuracy", ".1f", 100, " %"),
    "95 %": _interval,
    "no answer": _no_answer,
    "minus dense": _number("accuracy_minus_dense", "+.1f", 100),
    "equivalent tokens": _number("equivalent_tokens", ",.0f"),
    "kept tokens": _number("present_tokens", ",.0f"),
    "sparsity": _number("vector_sparsity", ".1f", 100, " %"),
    "accelerator": lambda line: line.get("accelerator") or "",
    "cycles": _number("cycles", ",.0f"),
    "speed-up": _number(SPEEDUP, ".2f", unit=" x"),
    "energy (mJ)": _number("energy_mj", ".3g"),
    "energy vs. dense": _number(ENERGY, ".3f"),
    "area (mm2)": _number("area_mm2", ".3g"),
    "status": lambda line: "" if line.get("status", "ok") == "ok" else line["status"],
}
"""Columns by heading, each with what prints its cell."""
