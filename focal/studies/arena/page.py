"""The page beside the tables of an arena, written from its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from focal.studies.arena.matching import TOLERANCE
from focal.studies.arena.table import LEFT, Line, arena_lines, table_cells

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
  number positions anew. **`dart_edge`**: DART as TensorRT Edge-LLM ships it, on input embeddings before the decoder.
- **Intervals** are 95 %: Wilson's for the accuracy of single questions; `cluster_*` in the table resamples whole
  pictures, because questions about one picture are not independent. `mcnemar_p_measured` in the table is McNemar's
  exact test against dense on the same questions, without correction for the number of rows.
- **Cycles, energy and area**: means over the {traced} traced questions, here on the method's own accelerator, in
  `arena.csv` on every accelerator; *speed-up* and *energy vs. dense* are over the dense method on the dense array.
  A method without an accelerator of its own runs on `focus_sec_only`, a plain systolic array over the tokens that are
  kept. An empty cell has its reason in the column `refused_*`. Choosing tokens in the vision tower is not simulated.
"""


def page(rows: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    plan = content["configuration"]
    text = _INTRODUCTION
    lines = arena_lines(rows)
    for model, benchmark in dict.fromkeys((row["model"], row["benchmark"]) for row in rows):
        own = [row for row in rows if (row["model"], row["benchmark"]) == (model, benchmark)]
        text += f"\n## {benchmark}, {model}\n\n{_facts(own)}\n\n"
        text += markdown(line for line in lines if (line["model"], line["benchmark"]) == (model, benchmark))
        text += _reasons(own)
    quantity = "MACs of the prefill" if plan["quantity"] == "macs" else "equivalent visual tokens"
    return text + _READING.format(quantity=quantity, traced=plan["traced"], tolerance=TOLERANCE)


def markdown(lines: Iterable[Line]) -> str:
    """Return lines as a table."""
    headings, cells = table_cells(lines)
    ruler = ["---" if name in LEFT else "--:" for name in headings]
    return "".join(f"| {' | '.join(line)} |\n" for line in (headings, ruler, *cells))


def _facts(own: Sequence[Mapping[str, Any]]) -> str:
    dense = own[0]
    if dense["questions"] is None:
        return f"The dense model itself was refused: {dense['reason']}."
    asked = f"{dense['questions']} questions about {dense['pictures']} pictures or clips"
    return f"{asked}, {dense['visual_tokens']:g} visual tokens each. Accuracy measured, cycles and energy simulated."


def _reasons(own: Sequence[Mapping[str, Any]]) -> str:
    budgets: dict[str, list[str]] = {}
    for row in own:
        if row["reason"]:
            reason = f"`{row['method']}`, {row['status']}: {row['reason']}"
            budgets.setdefault(reason, []).append(f"{row['budget']:.4g}")
    lines = [f"- {reason} (budget {', '.join(given)})\n" for reason, given in budgets.items()]
    return "\n" + "".join(lines) if lines else ""
