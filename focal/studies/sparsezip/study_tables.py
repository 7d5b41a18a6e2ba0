"""The tables of the study, one function per part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from operator import ge
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.analysis import SQUARES, Scores, effect_rows, pair_row
from focal.studies.sparsezip.audit import audited
from focal.studies.sparsezip.bench import Bench
from focal.studies.sparsezip.budgets import are_equal
from focal.studies.sparsezip.cells import Cell
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import CURVE_METHODS, as_published, curve, sweep
from focal.studies.sparsezip.evaluate import selection
from focal.studies.sparsezip.latency import latency_rows, length_matched, measured
from focal.studies.sparsezip.policy import policy_rows
from focal.studies.sparsezip.proxies import proxy_row
from focal.studies.sparsezip.questions import QuestionSet
from focal.studies.sparsezip.settings import FIXED_TOTAL, SWEEP_TOTAL, StudySettings
from focal.studies.sparsezip.tables import write_table
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.sparsezip import SparseZip

__all__ = [
    "Track",
    "write_adaptive",
    "write_audit",
    "write_curve",
    "write_effects",
    "write_latency",
    "write_policy",
    "write_sweep",
]

Track = Callable[..., Iterable[Any]]

_SIDE_BUDGETS = (21, FIXED_TOTAL)  # budgets at which every sub-task is set against dense
_BASE = f"sparsezip_placed-{FIXED_TOTAL}"


def write_curve(scores: Scores, settings: StudySettings, output: Path) -> None:
    """Compare methods that treat positions alike, each method with its own other form, and all with dense."""
    rows = []
    published, placed = CURVE_METHODS[:4], CURVE_METHODS[4:]
    wanted = [*combinations(published, 2), *combinations(placed, 2), *zip(placed, published, strict=True)]
    for budget in settings.budgets:
        for first, second in wanted:
            names = f"{first}-{budget}", f"{second}-{budget}"
            if all(name in scores.cells for name in names):
                rows += [pair_row(scores, "equal budget", one, *names) for one in scores.benchmarks]
        groups = scores.groups if budget in _SIDE_BUDGETS else scores.benchmarks
        for name in (f"{method}-{budget}" for method in CURVE_METHODS):
            if name in scores.cells and "dense" in scores.cells:
                rows += [
                    pair_row(scores, "against dense", group, name, "dense", allow_unequal=True)
                    for group in groups
                ]
    write_table(output / "pairs.csv", rows, ("part", "group", "first", "second"))


def write_effects(scores: Scores, settings: StudySettings, output: Path) -> None:
    """Write main effects and interaction of the 2 x 2 design."""
    rows = [
        row
        for equal in SQUARES
        for budget in settings.square_budgets
        for row in effect_rows(scores, budget, equal)
    ]
    write_table(output / "effects.csv", rows, ("equal", "budget", "group", "effect"))


def write_audit(bench: Bench, output: Path) -> None:
    """Count the tokens of the published settings whose K is called dynamic, and warn where it is constant."""
    rows = []
    for name, parameters in as_published().items():
        method = build_method("sparsezip", parameters)
        assert isinstance(method, SparseZip)  # noqa: S101 - built by that name
        one = Configuration(name, "audit", "before", "sparsezip", parameters)
        answers = [selection(bench, one, picture) for picture in bench.features]
        found = audited(
            [len(answer.kept) for answer in answers],
            [len(answer.merged) for answer in answers],
            k_min=method.rules.k_min,
            k_max=method.rules.k_max,
            is_dynamic=method.rules.dynamic,
        )
        row: dict[str, Any] = {
            "configuration": name,
            "k_min": method.rules.k_min,
            "k_max": method.rules.k_max,
        }
        rows.append(row | found.row())
    write_table(output / "audit.csv", rows)


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
            row |= audited(own.kept, own.merged, **bounds, is_dynamic=True).row()
            counts += [{"configuration": name, "picture": n, "k": k} for n, k in enumerate(own.kept)]
            if _BASE in scores.cells:
                pairs += [
                    pair_row(scores, "adaptive K", group, name, _BASE, allow_unequal=True)
                    for group in scores.benchmarks
                ]
        rows.append(row)
    write_table(output / "adaptive.csv", rows)
    write_table(output / "adaptive_k.csv", counts)
    write_table(output / "adaptive_pairs.csv", pairs, ("part", "group", "first", "second"))


def write_sweep(bench: Bench, scores: Scores, cells: Sequence[Cell], output: Path) -> None:
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
        if name in scores.cells:
            row |= proxy_row(bench, cell.configuration)
            for group in scores.benchmarks:
                row[f"{group} accuracy"] = float(scores.of(name, group).mean())
                row[f"{group} tokens"] = scores.tokens(name, group)
                if base in scores.cells:
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


def write_policy(scores: Scores, questions: QuestionSet, settings: StudySettings, output: Path) -> None:
    """Write the tables of budgets per kind of question."""
    rows: list[dict[str, Any]] = []
    if FIXED_TOTAL in settings.budgets:
        for method in ("visionzip_placed", "sparsezip_placed"):
            rows += policy_rows(scores, questions, method, settings.budgets, FIXED_TOTAL)
    write_table(output / "policy.csv", rows, ("method", "kind", "budget"))


def write_latency(bench: Bench, settings: StudySettings, output: Path, track: Track) -> None:
    """Time the methods at one budget, by phase and by length."""
    names = {"dense", *(f"{method}-{FIXED_TOTAL}" for method in ("visionzip", "sparsezip", "sparsevlm"))}
    chosen = [one for one in curve([FIXED_TOTAL]) if one.name in names]
    count = settings.timed_pictures
    times = measured(bench, chosen, count, track=lambda items: track(items, "timing", count))
    write_table(output / "latency.csv", latency_rows(times))
    write_table(output / "latency_by_length.csv", length_matched(times, "dense"))
