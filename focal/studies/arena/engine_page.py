"""The page of the study "What engine pruning buys on an accelerator", written from the tables of its arena."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from focal.studies.arena.figure import draw_arena
from focal.studies.arena.page import markdown
from focal.studies.arena.table import arena_lines
from focal.studies.tables import write_table
from focal_algorithm.methods import METHODS
from focal_common.errors import ConfigError
from focal_common.files import atomic_write_text
from focal_common.reading.frames import csv_frame
from focal_common.reading.json_files import read_json
from focal_simulator.results.ratios import ENERGY, SPEEDUP

ENGINES = {"dart_edge": "TensorRT Edge-LLM", "cdpruner": "OpenVINO GenAI", "evs": "vLLM, for video"}
"""Methods by the serving engine that ships them."""

_SECOND = ", second turn"
_COARSE = "others"
_DIGITS = 8
_MOST_FALLS = 5
_ENOUGH_QUESTIONS = 1000
_FINE = ("count", "reading", "two-hop")

_START = """# What engine pruning buys on an accelerator

Written by `focal reproduce engine-pruning` from [arena.csv](engine_pruning/arena.csv) and
[kinds.csv](engine_pruning/kinds.csv); do not edit. Serving engines prune visual tokens now: DART in TensorRT Edge-LLM,
CDPruner in OpenVINO GenAI, EVS in vLLM. What does that buy on an accelerator, and what does it cost in accuracy?

Each method runs at {budgets} of the equivalent visual tokens of the dense model (layer mean), so that early and late
pruning are charged alike. Accuracy is **measured** on procedural questions, each asked in two turns; cycles,
energy and area are **simulated** (`cycle`, decoder prefill, mean over {traced} questions) on the accelerator of the
method's name, else on `focus_sec_only`, a plain systolic array over the tokens kept. The models have about 1.5 million
parameters and know these pictures only: the order of the methods holds for them and for nothing else. Their decoders
are 128 wide, where matching similar vectors takes as long as the GEMM that it shortens (up to 256, HPCA 2026,
sec. VI-A): `focus` gains more on wider ones. As published, VisionZip and SparseZip number the kept tokens anew, which
these models take badly where places matter (`reading`); `_placed` keeps their positions. CDPruner, DivPrune, DyCoke,
HoliTom, PruMerge, PyramidDrop and SparseVLM number anew, too.

What the rows are not: FastV and DART drop behind layer 2 of 8 here, so that a quarter of the tokens is the least they
can meet (a sixteenth of 32 layers); at smaller budgets next to nothing is left behind that layer. `dart` is the paper's
form, `dart_edge` that of the engine, on input embeddings before the decoder; a video is one pool to it. `cdpruner` is
the paper's form for models without CLIP's text tower; OpenVINO GenAI also halves each picture. What DyCoke saves in
decode is in no row, nor what the decisions themselves [cost](../../benchmarks/results/selection_overhead_cpu.md).
[arena.md](../arena.md) says how budgets are met and intervals made.

```sh
{commands}
focal reproduce engine-pruning --study FOLDER --output docs/studies   # --study once for each folder
```

![Accuracy against kept tokens, cycles and energy](engine_pruning/arena.png)
"""


def write_engine_page(studies: Sequence[Path], output: Path) -> list[Path]:
    """Write ``engine_pruning.md`` and, in a folder of that name, its tables and its picture.

    Args:
        studies: Folders of ``focal arena --study engine_pruning``, of one model each or of several; or what this
            function wrote. Of rows about the same method and model those of the later folder hold.
        output: Folder.

    Raises:
        ConfigError: A file is missing, or none of an arena.
    """
    own = output / "engine_pruning"
    rows, kinds = (_latest([_rows(one / name) for one in studies]) for name in ("arena.csv", "kinds.csv"))
    read = [read_json(one / "arena.json") for one in studies]
    runs = [run for content in read for run in content.get("runs", [content])]
    write_table(own / "arena.csv", rows, digits=_DIGITS)
    write_table(own / "kinds.csv", kinds, digits=_DIGITS)
    atomic_write_text(own / "arena.json", json.dumps({"runs": runs}, indent=1, sort_keys=True) + "\n")
    drawn = draw_arena(own / "arena.csv", own, ("tokens", "cycles", "energy"))
    page = output / "engine_pruning.md"
    atomic_write_text(page, engine_page(rows, kinds, [run["configuration"] for run in runs]))
    return [page, *(own / name for name in ("arena.csv", "kinds.csv", "arena.json")), *drawn]


def _latest(tables: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return all rows, the latest of each method, models in their order and methods by name behind dense."""
    held: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for table in tables:
        new: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for row in table:
            new.setdefault((row["model"], row["benchmark"], row["method"]), []).append(row)
        held |= new
    places = list(dict.fromkeys(key[:2] for key in held))
    ranked = sorted(held, key=lambda key: (places.index(key[:2]), key[2] != "dense", key[2]))
    return [row for key in ranked for row in held[key]]


def _rows(path: Path) -> list[dict[str, Any]]:
    frame = csv_frame(
        path, ("model", "benchmark", "method", "budget", "status"), ConfigError, "expected 'focal arena'"
    )
    empty_as_none = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in empty_as_none.to_dict("records")]


def engine_page(
    rows: Sequence[Mapping[str, Any]], kinds: Sequence[Mapping[str, Any]], plans: Sequence[Mapping[str, Any]]
) -> str:
    """Return the page as Markdown.

    Args:
        rows: Of ``arena.csv``.
        kinds: Of ``kinds.csv``.
        plans: Settings of the runs.
    """
    shares = ", ".join(f"{100 * budget:.1f} %" for budget in plans[0]["budgets"])
    traced = " or ".join(dict.fromkeys(str(plan["traced"]) for plan in plans))
    commands = "\n".join(map(_command, plans))
    text = _START.format(budgets=shares, traced=traced, commands=commands)
    lines = arena_lines(rows)
    for model, benchmark in dict.fromkeys((line["model"], line["benchmark"]) for line in lines):
        own = [line for line in lines if (line["model"], line["benchmark"]) == (model, benchmark)]
        text += f"\n## {benchmark}, {model}\n\n{_questions(own)}\n\n{_words(own)}\n{markdown(own)}"
        text += _reasons(own)
        text += _turns([one for one in kinds if (one["model"], one["benchmark"]) == (model, benchmark)])
    return text


def _command(plan: Mapping[str, Any]) -> str:
    models, tasks = (",".join(plan[name]) for name in ("models", "benchmarks"))
    asked = f"--models {models} --tasks {tasks} --questions {plan['questions']} --traced {plan['traced']}"
    name = "-".join(plan["models"])
    if not {*METHODS} - {"zip_parts"} <= {*plan["methods"]}:
        asked += f" --methods {','.join(one for one in plan['methods'] if one != 'dense')}"
        name += "_more"
    return f"focal arena --study engine_pruning {asked} --output out/{name}"


def _questions(own: Sequence[Mapping[str, Any]]) -> str:
    dense = own[0]
    share, low, high = (f"{100 * dense[name]:.1f}" for name in ("accuracy", "accuracy_low", "accuracy_high"))
    text = (
        f"{dense['questions']:.0f} questions a row, {dense['visual_tokens']:g} visual tokens; the dense model answers "
        f"{share} % right ({low} to {high})."
    )
    if dense["questions"] < _ENOUGH_QUESTIONS:
        text += " **Too few to rank methods**: only losses beyond the intervals count, and no best method is named."
    return text


def _words(own: Sequence[Mapping[str, Any]]) -> str:
    text = ""
    for budget in dict.fromkeys(line["budget"] for line in own if line["budget"] != 1):
        ran = [line for line in own if line["budget"] == budget and line["accuracy"] is not None]
        for line in ran:
            if line["method"] in ENGINES:
                text += f"- {_said(line, ENGINES[line['method']])}\n"
        met = [line for line in ran if line["status"] == "ok"]
        if met and met[0]["questions"] >= _ENOUGH_QUESTIONS:
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
    table = ""
    for method, budget in dict.fromkeys(place[2:] for place in asked):
        places = [(group, is_second, method, budget) for group in groups for is_second in (False, True)]
        cells = [f"{100 * right[place] / asked[place]:.1f}" if asked[place] else "" for place in places]
        table += f"| `{method}` | {'' if budget == 1 else f'{budget:.3g}'} | {' | '.join(cells)} |\n"
    return _falls(asked, right) + text + table


def _falls(asked: Mapping[tuple[Any, ...], int], right: Mapping[tuple[Any, ...], float]) -> str:
    """Return where the second turn loses most, over all sub-tasks."""
    shares: dict[tuple[Any, ...], list[float]] = {}
    for case in dict.fromkeys(place[2:] for place in asked):
        turns = [
            [place for place in asked if place[2:] == case and place[1] == turn] for turn in (False, True)
        ]
        if all(turns):
            shares[case] = [
                100 * sum(right[one] for one in turn) / sum(asked[one] for one in turn) for turn in turns
            ]
    worst = sorted(shares, key=lambda case: shares[case][1] - shares[case][0])[:_MOST_FALLS]
    said = [
        f"`{method}` at {100 * budget:.1f} % from {shares[method, budget][0]:.1f} to {shares[method, budget][1]:.1f} %"
        for method, budget in worst
        if shares[method, budget][1] < shares[method, budget][0] - 1
    ]
    if not said:
        return ""
    return (
        f"\nIn the second turn fall most: {', '.join(said)}. What is dropped for one question is missing for the next; "
        "methods that do not read the question answer both turns alike.\n"
    )
