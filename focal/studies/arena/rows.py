"""From the cells of an arena to the rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from focal.studies.arena.cells import Cell
from focal.studies.arena.matching import REFUSED
from focal.studies.arena.plan import DENSE, method_behind, shown_name
from focal_algorithm.evaluation.offline.costs import Cost, mean_cost
from focal_algorithm.evaluation.offline.evaluator import Reply
from focal_common.statistics import accuracy, clustered_interval, compared

_ABOUT = ("model", "benchmark", "method", "budget", "status", "reason")
_MATCHED = ("matched_quantity", "target", "reached", "knob", "knob_value")
_ACCURACY = (
    *("questions", "pictures", "accuracy_measured", "low_measured", "high_measured"),
    *("cluster_low_measured", "cluster_high_measured", "unparsable_measured"),
    *("against_dense_measured", "against_dense_low_measured", "against_dense_high_measured"),
    *("only_dense_right_measured", "only_method_right_measured", "mcnemar_p_measured"),
)
_COST = (
    *("traced_questions", "visual_tokens", "equivalent_tokens_measured", "present_tokens_measured"),
    *("tokens_by_layer_measured", "vector_sparsity_measured", "linear_macs_measured"),
    *("attention_macs_estimated", "selection_macs_estimated"),
)
KIND_COLUMNS = (
    *("model", "benchmark", "method", "budget", "status", "kind", "questions"),
    *("accuracy_measured", "low_measured", "high_measured", "unparsable_measured"),
)
"""Of ``kinds.csv``."""


def arena_columns(accelerators: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of ``arena.csv``; those of an accelerator end with its name."""
    own = (
        f"{figure}_{name}"
        for name in accelerators
        for figure in (
            "cycles_simulated",
            "energy_mj_simulated",
            "energy_delay_mj_s_simulated",
            "area_mm2_simulated",
            "refused",
        )
    )
    return (*_ABOUT, *_MATCHED, *_ACCURACY, *_COST, "own_accelerator", *own)


def arena_rows(cells: Sequence[Cell], accelerators: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per cell, refused ones included; what is not known is None."""
    dense = {_group(cell): cell.replies for cell in cells if cell.case.method == DENSE}
    rows = []
    for cell in cells:
        setting = cell.setting
        row: dict[str, Any] = dict.fromkeys(arena_columns(accelerators))
        row |= _about(cell) | {
            "reason": setting.reason,
            "matched_quantity": setting.quantity,
            "target": setting.target,
            "reached": setting.reached,
            "knob": setting.knob,
            "knob_value": setting.value,
        }
        if setting.status != REFUSED:
            row |= _measured(cell.replies)
            ends = clustered_interval(_scores(cell.replies), [reply.picture for reply in cell.replies])
            row |= dict(zip(("cluster_low_measured", "cluster_high_measured"), ends, strict=True))
            if cell.case.method != DENSE:
                row |= _against_dense(cell.replies, dense[_group(cell)])
            row |= _cost(mean_cost(list(cell.costs.values())), len(cell.costs))
            row |= _hardware(cell, accelerators)
        rows.append(row)
    return rows


def kind_rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return one row per cell and sub-task; a refused cell has one row without figures."""
    rows = []
    for cell in cells:
        if cell.setting.status == REFUSED:
            rows.append(dict.fromkeys(KIND_COLUMNS) | _about(cell))
        for kind in dict.fromkeys(reply.kind for reply in cell.replies):
            measured = _measured([reply for reply in cell.replies if reply.kind == kind])
            row = _about(cell) | {"kind": kind} | measured
            rows.append({name: row[name] for name in KIND_COLUMNS})
    return rows


def _group(cell: Cell) -> tuple[str, str]:
    return cell.case.model.name, cell.case.benchmark


def _about(cell: Cell) -> dict[str, Any]:
    model, benchmark = _group(cell)
    return {
        "model": model,
        "benchmark": benchmark,
        "method": shown_name(cell.case.method),
        "budget": cell.setting.budget,
        "status": cell.setting.status,
    }


def _measured(replies: Sequence[Reply]) -> dict[str, Any]:
    scores, pictures = _scores(replies), [reply.picture for reply in replies]
    found = accuracy(scores, pictures)
    return {
        "questions": found.questions,
        "pictures": len(set(pictures)),
        "accuracy_measured": found.mean,
        "low_measured": found.low,
        "high_measured": found.high,
        "unparsable_measured": sum(not reply.is_parsable for reply in replies),
    }


def _against_dense(replies: Sequence[Reply], dense: Sequence[Reply]) -> dict[str, Any]:
    if not dense:
        return {}
    pair = compared(_scores(replies), _scores(dense), [reply.picture for reply in replies])
    return {
        "against_dense_measured": pair.difference,
        "against_dense_low_measured": pair.low,
        "against_dense_high_measured": pair.high,
        "only_dense_right_measured": pair.only_second,
        "only_method_right_measured": pair.only_first,
        "mcnemar_p_measured": pair.p_value,
    }


def _scores(replies: Sequence[Reply]) -> list[float]:
    return [float(reply.is_right) for reply in replies]


def _cost(cost: Cost, traced: int) -> dict[str, Any]:
    return {
        "traced_questions": traced,
        "visual_tokens": cost.visual_tokens,
        "equivalent_tokens_measured": cost.equivalent_tokens,
        "present_tokens_measured": cost.present_tokens,
        "tokens_by_layer_measured": " ".join(f"{tokens:g}" for tokens in cost.tokens_by_layer),
        "vector_sparsity_measured": cost.vector_sparsity,
        "linear_macs_measured": cost.linear_macs,
        "attention_macs_estimated": cost.attention_macs,
        "selection_macs_estimated": cost.selection_macs,
    }


def _hardware(cell: Cell, accelerators: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"own_accelerator": own_accelerator(method_behind(cell.case.method), accelerators)}
    runs = list(cell.simulated.values())
    for name in accelerators:
        figures = [run["figures"][name] for run in runs if name in run["figures"]]
        refused = [run["refused"][name] for run in runs if name in run["refused"]]
        row[f"refused_{name}"] = refused[0] if refused else None
        if not figures or refused:  # a mean over the prompts that one accelerator takes could not be compared
            continue
        for figure in ("cycles", "energy_mj", "area_mm2"):
            row[f"{figure}_simulated_{name}"] = fmean(one[figure] for one in figures)
        delay = fmean(one["energy_mj"] * one["seconds"] for one in figures)
        row[f"energy_delay_mj_s_simulated_{name}"] = delay
    return row


def own_accelerator(method: str, accelerators: Sequence[str]) -> str:
    """Return the accelerator of the method's name, else the plain array that runs what a method keeps."""
    return method if method in accelerators else "focus_sec_only"
