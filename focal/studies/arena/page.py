"""The page beside the tables of an arena, written from its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from focal.studies.arena.matching import TOLERANCE

__all__ = ["page"]

_INTRODUCTION = """# Arena: every method at equal budget

Written by `focal arena`; do not edit. One row per model, benchmark, method and budget in `arena.csv`, sub-tasks in
`kinds.csv`, settings and versions in `arena.json`. Every column says where its numbers come from: **measured**
(answers and counts of real forwards), **estimated** (from counts and a formula), **simulated** (`focal sim`,
fidelity `cycle`, decoder prefill). The models are small and trained on procedural pictures: the order of the
methods holds for them and for nothing else.
"""

_READING = """
## How to read it

- **Budget**: share of the dense {quantity}. One knob of each method after the other was solved on {traced}
  seeded questions about different pictures of the same benchmark, without looking at answers; *reached* in
  `arena.csv` is their mean cost. Rows over {tolerance:.0%} off are run at the nearest value and marked *nearest*;
  compare their accuracy with care. A method that leaves every token in place (CMC) saves work in linear layers
  only; its equivalent tokens are those MACs in units of one token's.
- **Equivalent tokens**: unique vectors at the linear layers, layer mean, in whole tokens by work. *Sparsity*:
  share of vectors left out, weighted as the published traces weigh it, which also count the queries of the
  scores. It is no other way to write the budget: where a method leaves out more or fewer queries than vectors of
  linear layers, as CMC and Focus do, *sparsity* and equivalent tokens over visual tokens do not add up to 100 %.
- **No answer**: share of replies that are none of the choices, such as an end of turn; they count as wrong. Where
  it is more than a few percent, the row shows a model thrown off, not only what it no longer sees.
- **`_placed`**: the same method, but kept tokens hold the positions they had. As published, VisionZip and SparseZip
  number positions anew.
- **Intervals** are 95 %: Wilson's for the accuracy of single questions; `cluster_*` in the table resamples whole
  pictures, because questions about one picture are not independent. *p* is McNemar's exact test against dense on
  the same questions, without correction for the number of rows.
- **Cycles and energy** are means over the {traced} traced questions, here on the method's own accelerator, in
  `arena.csv` on every accelerator. A method without an accelerator of its own runs on `focus_sec_only`, a plain
  systolic array over the tokens that are kept. An empty cell has its reason in the column `refused_*`. Choosing
  tokens in the vision tower is not simulated.
"""

_COLUMNS = (
    *("method", "budget", "accuracy", "95 %", "no answer", "against dense", "p"),
    *("equivalent tokens", "kept tokens"),
    *("sparsity", "own accelerator", "cycles", "energy (mJ)", ""),
)
_LEFT = ("method", "own accelerator", "")
_HEAD = (
    "| "
    + " | ".join(_COLUMNS)
    + " |\n|"
    + "|".join("---" if one in _LEFT else "--:" for one in _COLUMNS)
    + "|\n"
)


def page(rows: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    plan = content["configuration"]
    text = _INTRODUCTION
    places = dict.fromkeys((row["model"], row["benchmark"]) for row in rows)
    for model, benchmark in places:
        own = [row for row in rows if (row["model"], row["benchmark"]) == (model, benchmark)]
        text += f"\n## {benchmark}, {model}\n\n" + _facts(own) + "\n\n" + _HEAD
        text += "".join(map(_line, own))
        text += _reasons(own)
    quantity = "MACs of the prefill" if plan["quantity"] == "macs" else "equivalent visual tokens"
    return text + _READING.format(quantity=quantity, traced=plan["traced"], tolerance=TOLERANCE)


def _facts(own: Sequence[Mapping[str, Any]]) -> str:
    dense = own[0]
    if dense["questions"] is None:
        return f"The dense model itself was refused: {dense['reason']}."
    asked = f"{dense['questions']} questions about {dense['pictures']} pictures or clips"
    return f"{asked}, {dense['visual_tokens']:g} visual tokens each. Accuracy measured, cycles and energy simulated."


def _line(row: Mapping[str, Any]) -> str:
    name = row["own_accelerator"]
    cells = [
        f"`{row['method']}`",
        "" if row["budget"] == 1 else f"{row['budget']:.4g}",
        _share(row["accuracy_measured"]),
        _between(row["low_measured"], row["high_measured"]),
        _no_answer(row),
        _signed(row["against_dense_measured"]),
        _p(row["mcnemar_p_measured"]),
        _count(row["equivalent_tokens_measured"]),
        _count(row["present_tokens_measured"]),
        _share(row["vector_sparsity_measured"]),
        f"`{name}`" if name else "",
        _count(row.get(f"cycles_simulated_{name}")),
        "" if row.get(f"energy_mj_simulated_{name}") is None else f"{row[f'energy_mj_simulated_{name}']:.3g}",
        "" if row["status"] == "ok" else row["status"],
    ]
    return "| " + " | ".join(cells) + " |\n"


def _reasons(own: Sequence[Mapping[str, Any]]) -> str:
    found: dict[str, list[str]] = {}
    for row in own:
        if row["reason"]:
            found.setdefault(f"`{row['method']}`, {row['status']}: {row['reason']}", []).append(
                f"{row['budget']:.4g}"
            )
    lines = [f"- {reason} (budget {', '.join(budgets)})\n" for reason, budgets in found.items()]
    return "\n" + "".join(lines) if lines else ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _no_answer(row: Mapping[str, Any]) -> str:
    """Return the share of answers that are none of the choices; they count as wrong."""
    if row["questions"] is None:
        return ""
    share = row["unparsable_measured"] / row["questions"]
    return _share(share) if share else "0"


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
