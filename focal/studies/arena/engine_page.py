"""The page of the study "What engine pruning buys on an accelerator", written from the tables of its arena."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from focal.studies.arena.figure import draw_arena
from focal.studies.arena.page import markdown
from focal.studies.arena.table import arena_lines
from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text
from focal_common.reading.frames import csv_frame
from focal_common.reading.json_files import read_json
from focal_simulator.results.ratios import ENERGY, SPEEDUP

ENGINES = {"dart": "TensorRT Edge-LLM", "cdpruner": "OpenVINO GenAI", "evs": "vLLM, for video"}
"""Methods by the serving engine that ships them."""

_SECOND = ", second turn"
_COARSE = "others"
_FINE = ("count", "reading", "two-hop")

_START = """# What engine pruning buys on an accelerator

Written by `focal reproduce engine-pruning` from [arena.csv](engine_pruning/arena.csv) and
[kinds.csv](engine_pruning/kinds.csv); do not edit. Serving engines prune visual tokens now: DART in TensorRT Edge-LLM,
CDPruner in OpenVINO GenAI, EVS in vLLM. What does that buy on an accelerator, and what does it cost in accuracy?

Each method runs at {budgets} of the equivalent visual tokens of the dense model (layer mean), so that early and late
pruning are charged alike. Accuracy is **measured** on procedural questions, each asked in two turns; cycles,
energy and area are **simulated** (`cycle`, decoder prefill, mean over {traced} questions) on the accelerator of the
method's name, else on `focus_sec_only`, a plain systolic array over the tokens kept. The models have about 1.5 million
parameters and know these pictures only: the order of the methods holds for them and for nothing else.
[arena.md](../arena.md) says how budgets are met and intervals made.

```sh
{command}
focal reproduce engine-pruning --study FOLDER --output docs/studies
```

![Accuracy against kept tokens, cycles and energy](engine_pruning/arena.png)
"""


def write_engine_page(study: Path, output: Path) -> list[Path]:
    """Write ``engine_pruning.md`` and, in a folder of that name, its tables and its picture.

    Args:
        study: Folder of ``focal arena --study engine_pruning``.
        output: Folder.

    Raises:
        ConfigError: A file is missing, or none of an arena.
    """
    own = output / "engine_pruning"
    rows, kinds = _rows(study / "arena.csv"), _rows(study / "kinds.csv")
    content = read_json(study / "arena.json")
    paths = []
    for name in ("arena.csv", "kinds.csv", "arena.json"):
        atomic_write_text(own / name, (study / name).read_text(encoding="utf-8"))
        paths.append(own / name)
    paths += draw_arena(own / "arena.csv", own, ("tokens", "cycles", "energy"))
    page = output / "engine_pruning.md"
    atomic_write_text(page, engine_page(rows, kinds, content))
    return [page, *paths]


def _rows(path: Path) -> list[dict[str, Any]]:
    frame = csv_frame(
        path, ("model", "benchmark", "method", "budget", "status"), ConfigError, "expected 'focal arena'"
    )
    return [
        {
            name: None if value != value else value for name, value in row.items()
        }  # NaN alone differs from itself
        for row in frame.to_dict("records")
    ]


def engine_page(
    rows: Sequence[Mapping[str, Any]], kinds: Sequence[Mapping[str, Any]], content: Mapping[str, Any]
) -> str:
    """Return the page as Markdown.

    Args:
        rows: Of ``arena.csv``.
        kinds: Of ``kinds.csv``.
        content: Of ``arena.json``.
    """
    plan = content["configuration"]
    shares = ", ".join(f"{100 * budget:.1f} %" for budget in plan["budgets"])
    models, tasks = (",".join(plan[name]) for name in ("models", "benchmarks"))
    asked = f"--models {models} --tasks {tasks} --questions {plan['questions']}"
    command = f"focal arena --study engine_pruning {asked} --output FOLDER"
    text = _START.format(budgets=shares, traced=plan["traced"], command=command)
    lines = arena_lines(rows)
    for model, benchmark in dict.fromkeys((line["model"], line["benchmark"]) for line in lines):
        own = [line for line in lines if (line["model"], line["benchmark"]) == (model, benchmark)]
        text += f"\n## {benchmark}, {model}\n\n{_questions(own)}\n\n{_words(own)}\n{markdown(own)}"
        text += _reasons(own)
        text += _turns([one for one in kinds if (one["model"], one["benchmark"]) == (model, benchmark)])
    return text


def _questions(own: Sequence[Mapping[str, Any]]) -> str:
    dense = own[0]
    share, low, high = (f"{100 * dense[name]:.1f}" for name in ("accuracy", "accuracy_low", "accuracy_high"))
    return (
        f"{dense['questions']:.0f} questions a row, {dense['visual_tokens']:g} visual tokens; the dense model answers "
        f"{share} % right ({low} to {high})."
    )


def _words(own: Sequence[Mapping[str, Any]]) -> str:
    text = ""
    for budget in dict.fromkeys(line["budget"] for line in own if line["budget"] != 1):
        ran = [line for line in own if line["budget"] == budget and line["accuracy"] is not None]
        for line in ran:
            if line["method"] in ENGINES:
                text += f"- {_said(line, ENGINES[line['method']])}\n"
        met = [line for line in ran if line["status"] == "ok"]
        if met:
            best = max(met, key=lambda line: line["accuracy"])
            text += f"- Most accurate of those that meet the budget: {_said(best, '')}\n"
    return text


def _said(line: Mapping[str, Any], engine: str) -> str:
    name = f"`{line['method']}`" + (f" ({engine})" if engine else "")
    if line[SPEEDUP] is None:
        gain = "was simulated on no accelerator"
    else:
        gain = f"takes {1 / line[SPEEDUP]:.2f} of the dense cycles and {line[ENERGY]:.2f} of the energy"
        gain += f" on `{line['accelerator']}`"
    found = ("accuracy_minus_dense", "accuracy_minus_dense_low", "accuracy_minus_dense_high")
    mean, low, high = (f"{100 * line[one]:+.1f}" for one in found)
    off = "" if line["status"] == "ok" else f"; nearest setting, {line['equivalent_tokens']:.0f} tokens"
    return f"At {100 * line['budget']:.1f} % {name} {gain}; accuracy minus dense {mean} points ({low} to {high}){off}."


def _reasons(own: Sequence[Mapping[str, Any]]) -> str:
    said = dict.fromkeys(
        f"- `{line['method']}`, {line['status']}: {line['reason']}" for line in own if line["reason"]
    )
    return "\n" + "\n".join(said) + "\n" if said else ""


def _turns(kinds: Sequence[Mapping[str, Any]]) -> str:
    """Return accuracy by sub-task and turn: the same questions asked alone, and after one about other objects."""
    shown = [name for name in _FINE if any(one["kind"] == name for one in kinds)]
    groups = (*shown, _COARSE)
    text = "\nAccuracy in percent where a question is the only one, and in a second turn on the cache that a question "
    text += "about other objects pruned; fine sub-tasks alone, all others together:\n\n| method | budget |"
    text += (
        "".join(f" {group} | second turn |" for group in groups)
        + "\n|---|--:|"
        + "--:|--:|" * len(groups)
        + "\n"
    )
    asked: Counter[tuple[Any, ...]] = Counter()
    right: Counter[tuple[Any, ...]] = Counter()
    for one in (one for one in kinds if one["kind"]):
        kind = one["kind"].removesuffix(_SECOND)
        place = (kind if kind in shown else _COARSE, kind != one["kind"], one["method"], one["budget"])
        asked[place] += one["questions"]
        right[place] += one["questions"] * one["accuracy_measured"]
    for method, budget in dict.fromkeys(place[2:] for place in asked):
        places = [(group, is_second, method, budget) for group in groups for is_second in (False, True)]
        cells = [f"{100 * right[place] / asked[place]:.1f}" if asked[place] else "" for place in places]
        text += f"| `{method}` | {'' if budget == 1 else f'{budget:.3g}'} | {' | '.join(cells)} |\n"
    return text
