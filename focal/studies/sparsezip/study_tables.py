"""The tables of the study, one function per part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from operator import ge
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.analysis import SQUARES, Scores, effect_rows, pair_row
from focal.studies.sparsezip.audit import audited
from focal.studies.sparsezip.budgets import are_equal
from focal.studies.sparsezip.cells import Cell
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import (
    CURVE_METHODS,
    FIXED_TOTAL,
    SWEEP_TOTAL,
    StudySettings,
    as_published,
    curve,
    sweep,
)
from focal.studies.sparsezip.evaluate import selection
from focal.studies.sparsezip.latency import latency_rows, length_matched, measured
from focal.studies.sparsezip.model import ModelUnderStudy
from focal.studies.sparsezip.policy import policy_rows
from focal.studies.sparsezip.proxies import proxy_row
from focal.studies.tables import write_table
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.sparsezip import SparseZip

Track = Callable[..., Iterable[Any]]
"""From items, a description and a number of them to the same items under a progress bar."""

_SIDE_BUDGETS = (21, FIXED_TOTAL)  # budgets at which every sub-task is set against dense
_BASE = f"sparsezip_placed-{FIXED_TOTAL}"
_PAIR = ("part", "group", "first", "second")


def write_parts(
    study: ModelUnderStudy, cells: Sequence[Cell], settings: StudySettings, output: Path, track: Track
) -> None:
    """Write the tables of the parts that were asked for.

    Args:
        study: Model and questions.
        cells: Results.
        settings: Of the study.
        output: Folder.
        track: Shows progress.
    """
    scores = Scores(study.questions, cells)
    steps: dict[str, Callable[[], None]] = {
        "curve": lambda: write_table(output / "pairs.csv", _curve_pairs(scores, settings.budgets), _PAIR),
        "two_by_two": lambda: write_table(
            output / "effects.csv",
            [row for equal in SQUARES for one in settings.square_budgets for row in effect_rows(scores, one, equal)],
            ("equal", "budget", "group", "effect"),
        ),
        "audit": lambda: write_table(output / "audit.csv", _audit_rows(study)),
        "adaptive": lambda: write_adaptive(scores, cells, output),
        "sweep": lambda: write_sweep(study, scores, cells, output),
        "policy": lambda: write_table(
            output / "policy.csv", _policy_rows(scores, study, settings.budgets), ("method", "kind", "budget")
        ),
        "latency": lambda: _write_latency(study, settings, output, track),
    }  # fmt: skip
    for part in track(settings.parts, "tables", len(settings.parts)):
        steps[part]()


def _curve_pairs(scores: Scores, budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Compare methods that treat positions alike, each method with its own other form, and all with dense."""
    rows = []
    published, placed = CURVE_METHODS[:4], CURVE_METHODS[4:]
    wanted = [*combinations(published, 2), *combinations(placed, 2), *zip(placed, published, strict=True)]
    for budget in budgets:
        for first, second in wanted:
            names = f"{first}-{budget}", f"{second}-{budget}"
            if all(name in scores.outcomes for name in names):
                rows += [pair_row(scores, "equal budget", group, *names) for group in scores.benchmarks]
        groups = scores.groups if budget in _SIDE_BUDGETS else scores.benchmarks
        for name in (f"{method}-{budget}" for method in CURVE_METHODS):
            if name in scores.outcomes and "dense" in scores.outcomes:
                rows += [
                    pair_row(scores, "against dense", group, name, "dense", allow_unequal=True)
                    for group in groups
                ]
    return rows


def _audit_rows(study: ModelUnderStudy) -> list[dict[str, Any]]:
    """Count the tokens of the published settings whose K is called dynamic, and warn where it is constant."""
    rows = []
    for name, parameters in as_published().items():
        method = build_method("sparsezip", parameters)
        assert isinstance(method, SparseZip)  # noqa: S101 - built by that name
        one = Configuration(name, "audit", "before", "sparsezip", parameters)
        answers = [selection(study, one, picture) for picture in study.features]
        bounds = {"k_min": method.rules.k_min, "k_max": method.rules.k_max}
        found = audited(
            [study.visual if answer is None else len(answer.kept) for answer in answers],
            [0 if answer is None else len(answer.merged) for answer in answers],
            **bounds,
            is_dynamic=method.rules.dynamic,
        )
        rows.append({"configuration": name, **bounds, **found})
    return rows


def write_adaptive(scores: Scores, cells: Sequence[Cell], output: Path) -> None:
    """Write the achieved distribution of K, and the comparison with a fixed K; what failed keeps a row."""
    rows, counts, pairs = [], [], []
    for cell in cells:
        if cell.configuration.part != "adaptive":
            continue
        name, rule = cell.configuration.name, cell.configuration.adaptive
        row: dict[str, Any] = {"configuration": name, "status": cell.status, "reason": cell.reason}
        row |= {key: rule[key] for key in ("rule", "knob", "k_min", "k_max")} | {"aimed_total": FIXED_TOTAL}
        if cell.outcome is not None:
            own = cell.outcome
            bounds = {"k_min": rule["k_min"], "k_max": rule["k_max"]}
            row |= audited(own.kept, own.merged, **bounds, is_dynamic=True)
            counts += [{"configuration": name, "picture": n, "k": k} for n, k in enumerate(own.kept)]
            if _BASE in scores.outcomes:
                pairs += [
                    pair_row(scores, "adaptive K", group, name, _BASE, allow_unequal=True)
                    for group in scores.benchmarks
                ]
        rows.append(row)
    write_table(output / "adaptive.csv", rows)
    write_table(output / "adaptive_k.csv", counts)
    write_table(output / "adaptive_pairs.csv", pairs, _PAIR)


def write_sweep(study: ModelUnderStudy, scores: Scores, cells: Sequence[Cell], output: Path) -> None:
    """Write proxies and accuracy of every setting of the sweep; what failed keeps a row."""
    ran = {cell.configuration.name: cell for cell in cells}
    base = f"sparsezip_placed-{SWEEP_TOTAL}"
    rows = []
    for knob, value, name in [
        ("defaults", "", base),
        *((knob, value, one.name) for knob, value, one in sweep(SWEEP_TOTAL)),
    ]:
        cell = ran[name]
        row: dict[str, Any] = {"knob": knob, "value": value, "configuration": name, "budget": SWEEP_TOTAL}
        row |= {"status": cell.status, "reason": cell.reason}
        if name in scores.outcomes:
            row |= proxy_row(study, cell.configuration)
            for group in scores.benchmarks:
                row[f"{group} accuracy"] = float(scores.of(name, group).mean())
                row[f"{group} tokens"] = scores.tokens(name, group)
                if base in scores.outcomes:
                    found = pair_row(scores, "sweep", group, name, base, allow_unequal=True)
                    row |= {
                        f"{group} {key}": found[key]
                        for key in ("difference", "low", "high", "p_value", "verdict", "is_equal_budget")
                    }
        rows.append(row)
    write_table(output / "sweep.csv", _with_front(rows, scores.benchmarks))


def _with_front(rows: list[dict[str, Any]], benchmarks: Sequence[str]) -> list[dict[str, Any]]:
    """Mark the rows at the budget that no other of them beats in coverage, in error and in every accuracy at once."""

    def values(row: dict[str, Any]) -> list[float]:
        return [row["coverage"], -row["error"], *(row[f"{name} accuracy"] for name in benchmarks)]

    def is_in(row: dict[str, Any]) -> bool:
        return row["status"] == "done" and all(
            are_equal(row[f"{name} tokens"], row["budget"]) for name in benchmarks
        )

    field = [values(row) for row in rows if is_in(row)]

    def is_beaten(own: list[float]) -> bool:
        return any(other != own and all(map(ge, other, own)) for other in field)

    return [row | {"is_on_front": is_in(row) and not is_beaten(values(row))} for row in rows]


def _policy_rows(scores: Scores, study: ModelUnderStudy, budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Return the tables of budgets per kind of question; none where the fixed total was not run."""
    if FIXED_TOTAL not in budgets:
        return []
    methods = ("visionzip_placed", "sparsezip_placed")
    return [row for one in methods for row in policy_rows(scores, study.questions, one, budgets, FIXED_TOTAL)]


def _write_latency(study: ModelUnderStudy, settings: StudySettings, output: Path, track: Track) -> None:
    """Time the methods at one budget, by phase and by length."""
    names = {"dense", *(f"{method}-{FIXED_TOTAL}" for method in ("visionzip", "sparsezip", "sparsevlm"))}
    chosen = [one for one in curve([FIXED_TOTAL]) if one.name in names]
    count = settings.timed_pictures
    times = measured(study, chosen, count, track=lambda items: track(items, "timing", count))
    write_table(output / "latency.csv", latency_rows(times))
    write_table(output / "latency_by_length.csv", length_matched(times, "dense"))
