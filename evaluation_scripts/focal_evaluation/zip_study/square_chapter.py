"""Chapter of the page on the 2 x 2 design: text awareness and timing, at equal layer means and at equal kept tokens."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from focal_evaluation.metrics.yes_no import Parser
from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.words import interval, listed, percent, points, rows_of, table

__all__ = ["layer_counts", "two_by_two"]

_CELLS = (
    "before-agnostic", "before-aware", "inside-agnostic", "inside-aware", "onecut-agnostic", "onecut-aware",
    "onecut-raters",
)  # fmt: skip
_LEAST_SHARE = 0.5
"""Of the budget left in the last layer, below which a difference is booked on the schedule, not on timing; assumed."""

_MEANS = {
    "text awareness": ("reading the question helps", "reading the question hurts"),
    "timing": ("cutting inside the decoder is better", "cutting before the decoder is better"),
    "interaction": (
        "reading the question helps more inside the decoder", "reading the question helps less inside the decoder",
    ),
}  # fmt: skip


def layer_counts(cell: str) -> tuple[float, ...]:
    """Return visual tokens of each layer from a cell of ``configurations.csv``."""
    return tuple(float(word) for word in str(cell).split())


def two_by_two(results: Results, _: Parser) -> str:
    """Cells, main effects and interaction, and what may be said of timing."""
    effects = results.tables["effects"]
    facts = results.configurations.set_index("configuration")
    counts = {
        str(name): layer_counts(row["layer_tokens"])
        for name, row in facts.iterrows()
        if row["part"] == "two_by_two" and row["status"] == "done"
    }
    groups = [name for name in effects["group"].unique() if " " not in name]
    rows = [
        (row.equal, row.budget, row.group, row.effect, points(row.value), interval(row.low, row.high),
         "yes" if row.is_apart_from_zero else "no")
        for row in rows_of(effects)
        if row.group in groups
    ]  # fmt: skip
    head = ("equal", "tokens", "benchmark", "effect", "points", "95 % interval", "apart from zero")
    return "\n\n".join(
        (
            "## Text awareness and timing, apart",
            "No CLS, no merging, one projector, positions kept in every cell. Before the decoder, tokens are ranked "
            "by the CLS attention (agnostic) or by 0.6 of it and 0.4 of the likeness to the question behind the "
            f"projector (aware). Inside it there are two forms. `inside` {_cuts(counts, 'inside-agnostic')} in "
            "SparseVLM's proportions, with the budget as mean over layers; its aware cell is ranked by the attention "
            "of the question's rater tokens, so its score differs from that before the decoder, and text awareness "
            f"and interaction hold that difference too. `onecut` {_cuts(counts, 'onecut-agnostic')} and keeps the "
            "whole budget from there on, ranked by the very scores used before the decoder: these four cells keep "
            "the same tokens and differ in the place of the cut only, which costs more work. `onecut-raters` is the "
            "one cut with the raters' choice.",
            _cell_table(results, counts, groups),
            table(head, rows),
            "\n".join(
                line
                for equal in effects["equal"].unique()
                for line in _sentences(effects, groups, counts, equal)
            ),
            "FLOPs have a term in the square of the length, so equal means cost more where the first layers hold "
            "everything; one cut costs more again. The column shows by how much.",
        )
    )


def _cuts(counts: Mapping[str, tuple[float, ...]], cell: str) -> str:
    """Return after which layers a cell cuts at any budget; at a small one a later cut may find nothing to drop."""
    places = {
        layer
        for name, own in counts.items()
        if name.startswith(f"{cell}-")
        for layer, (before, after) in enumerate(pairwise(own))
        if after < before
    }
    if not places:
        return "did not run"
    return f"cuts after layer{'s' * (len(places) > 1)} {listed([str(one) for one in sorted(places)])} (counted from 0)"


def _cell_table(results: Results, counts: Mapping[str, tuple[float, ...]], groups: list[str]) -> str:
    accuracy = results.tables["accuracy"].set_index(["configuration", "group"])
    facts = results.configurations.set_index("configuration")
    rows = []
    for budget in sorted(facts.loc[facts["part"] == "two_by_two", "budget"].unique()):
        for cell in _CELLS:
            name = f"{cell}-{budget}"
            if name not in counts:
                rows.append((name, *["failed"] * (4 + len(groups))))
                continue
            # A failed reference has no FLOPs, and the ratio to it reads nan.
            ratio = facts.loc[name, "flops"] / facts.loc[f"before-agnostic-{budget}", "flops"]
            shares = [percent(accuracy.loc[(name, group), "accuracy"]) for group in groups]
            layers = ", ".join(f"{count:g}" for count in counts[name])
            mean = f"{sum(counts[name]) / len(counts[name]):.2f}"
            rows.append(
                (name, layers, mean, f"{facts.loc[name, 'flops'] / 1e6:.1f}", f"{ratio:.3f}", *shares)
            )
    head = ("cell", "tokens of each layer", "mean", "MFLOPs (estimated)", "over before-agnostic", *groups)
    return table(head, rows)


def _sentences(
    effects: Any, groups: list[str], counts: Mapping[str, tuple[float, ...]], equal: str
) -> list[str]:
    lines = []
    for group in groups:
        for effect, (above, below) in _MEANS.items():
            own = effects[
                (effects["equal"] == equal) & (effects["group"] == group) & (effects["effect"] == effect)
            ]
            said, withheld = [], []
            for row in rows_of(own):
                if not row.is_apart_from_zero:
                    continue
                short = _starved(counts, equal, row.budget) if effect == "timing" else ""
                if short:
                    withheld.append(f"{row.budget} ({points(row.value)} points; {short})")
                else:
                    said.append(
                        f"{above if row.value > 0 else below} at {row.budget} ({points(row.value)} points)"
                    )
            found = listed(said, "" if withheld else "no effect apart from zero at any budget")
            if withheld:
                found += "; " * bool(said) + (
                    f"schedule and timing cannot be told apart at {listed(withheld)}, so nothing is said of timing "
                    "there"
                )
            lines.append(f"- equal {equal}, {group}, {effect}: {found}.")
    return lines


def _starved(counts: Mapping[str, tuple[float, ...]], equal: str, budget: int) -> str:
    """Return a remark where the cells inside end with far fewer tokens than those before the decoder keep."""
    cell = "inside-agnostic" if equal == "layer mean" else "onecut-agnostic"
    last, other = counts[f"{cell}-{budget}"][-1], counts[f"before-agnostic-{budget}"][-1]
    return f"the last layer has {last:g} tokens against {other:g}" if last < _LEAST_SHARE * other else ""
