"""The whole study: what runs, in which order, and the tables it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.sparsezip import SparseZip
from focal_algorithm.zip_study.adaptive import AdaptiveK, calibrated
from focal_algorithm.zip_study.analysis import Scores, accuracy_rows, effect_rows, pair_row
from focal_algorithm.zip_study.audit import audited
from focal_algorithm.zip_study.bench import Bench, Eyes, open_bench
from focal_algorithm.zip_study.cells import Cell, run_cells
from focal_algorithm.zip_study.configuration import Configuration
from focal_algorithm.zip_study.design import (
    CURVE_METHODS,
    adaptive_part,
    as_published,
    curve,
    sweep,
    two_by_two,
)
from focal_algorithm.zip_study.evaluate import selection
from focal_algorithm.zip_study.latency import latency_rows, length_matched, measured
from focal_algorithm.zip_study.policy import policy_rows
from focal_algorithm.zip_study.proxies import proxy_row
from focal_algorithm.zip_study.questions import QuestionSet, load_questions
from focal_algorithm.zip_study.tables import write_table
from focal_common.errors import ConfigError, near_matches
from focal_common.files import atomic_write_text
from focal_common.provenance import manifest, package_versions

__all__ = ["PARTS", "StudySettings", "run_study", "write_answers"]

PARTS = ("curve", "two_by_two", "audit", "adaptive", "sweep", "policy", "latency")
Track = Callable[..., Iterable[Any]]

_CALIBRATION_PICTURES = 120
_FIXED = 64  # total of everything that is compared at one budget
_SIDE_BUDGETS = (21, _FIXED)  # budgets at which every sub-task is set against dense
_BASE = f"sparsezip_placed-{_FIXED}"


@dataclass(frozen=True)
class StudySettings:
    """What the study runs on.

    Attributes:
        pope_pictures: Pictures of shapes-pope.
        mme_pictures: Pictures of shapes-mme.
        seed: Of the data.
        budgets: Totals of the curve.
        square_budgets: Totals of the 2 x 2 design.
        parts: Of `PARTS`.
        timed_pictures: Pictures of the latency part.
    """

    pope_pictures: int = 80
    mme_pictures: int = 300
    seed: int = 0
    budgets: tuple[int, ...] = (21, 32, 64, 87, 128)
    square_budgets: tuple[int, ...] = (21, 32, 64)
    parts: tuple[str, ...] = PARTS
    timed_pictures: int = 20

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in PARTS:
                raise ConfigError(f"unknown part '{part}' of the study; {near_matches(part, PARTS)}")
        if not self.budgets or min((*self.budgets, *self.square_budgets), default=0) < 20:
            raise ConfigError(
                f"budgets must be at least 20 visual tokens each: a method inside the decoder spends 18 of 144 "
                f"before its first cut; got {self.budgets} and {self.square_budgets}"
            )


def run_study(eyes: Eyes, settings: StudySettings, output: Path, work: Path, track: Track) -> list[Cell]:
    """Run the study and write its tables.

    Args:
        eyes: The model.
        settings: What to run on.
        output: Folder of the tables.
        work: Folder of finished results and features, for a later run.
        track: From items, a description and a number of them to the same items under a progress bar.

    Returns:
        Every configuration with its status.

    Raises:
        ConfigError: Settings that do not fit, such as a budget above the visual tokens.
    """
    questions = load_questions(settings.pope_pictures, settings.mme_pictures, seed=settings.seed)
    bench = open_bench(eyes, questions, work, lambda items: track(items, "looking at pictures", None))
    beyond = [one for one in (*settings.budgets, *settings.square_budgets) if one >= bench.visual]
    if beyond:
        raise ConfigError(
            f"budget {beyond[0]}: the model has {bench.visual} visual tokens; expected budgets below that"
        )
    rules = _rules(eyes, settings, work) if "adaptive" in settings.parts else {}
    configurations = _configurations(settings, rules)
    cells = run_cells(
        bench, configurations, work, lambda items: track(items, "configurations", len(configurations))
    )
    write_answers(bench, cells, output, settings.seed)
    scores = Scores(questions, cells)
    write_table(output / "accuracy.csv", accuracy_rows(scores), ("configuration", "group", "accuracy"))
    steps: dict[str, Callable[[], None]] = {
        "curve": lambda: _write_curve(scores, settings, output),
        "two_by_two": lambda: _write_effects(scores, settings, output),
        "audit": lambda: _write_audit(bench, output),
        "adaptive": lambda: _write_adaptive(bench, scores, cells, rules, output),
        "sweep": lambda: _write_sweep(bench, scores, output),
        "policy": lambda: _write_policy(scores, questions, settings, output),
        "latency": lambda: _write_latency(bench, settings, output, track),
    }
    for part in track(settings.parts, "tables", len(settings.parts)):
        steps[part]()
    return cells


def write_answers(bench: Bench, cells: Sequence[Cell], output: Path, seed: int) -> None:
    """Write questions, answers, configurations with their provenance, and the manifest."""
    asked = bench.questions.questions
    write_table(output / "questions.csv", [{"question": n} | asdict(one) for n, one in enumerate(asked)])
    done = [cell for cell in cells if cell.outcome is not None]
    columns = {cell.configuration.name: cell.outcome.answers for cell in done if cell.outcome is not None}
    rows = [{"question": n} | {name: said[n] for name, said in columns.items()} for n in range(len(asked))]
    write_table(output / "answers.csv", rows)
    write_table(output / "configurations.csv", [_provenance(bench, cell, seed) for cell in cells])
    facts = manifest(
        {"questions": bench.questions.manifest, "configurations": [c.configuration.digest for c in cells]},
        "torch", "transformers", "numpy", "scipy",
        model=bench.eyes.name, model_sha256=bench.eyes.digest, visual_tokens=bench.visual,
        layers=bench.shape.layers, seed=seed, is_partial=len(done) < len(cells),
    )  # fmt: skip
    del facts["command"]  # holds paths of this machine
    atomic_write_text(output / "manifest.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")


def _provenance(bench: Bench, cell: Cell, seed: int) -> dict[str, Any]:
    one, outcome = cell.configuration, cell.outcome
    versions = package_versions("focal-vlm", "torch", "transformers")
    return {
        "configuration": one.name, "part": one.part, "place": one.place, "method": one.method,
        "parameters": json.dumps(dict(one.parameters), sort_keys=True), "reads_text": one.reads_text,
        "budget": one.budget, "config_hash": one.digest,
        "visual_tokens": "" if outcome is None else outcome.visual_tokens,
        "entering": "" if outcome is None else outcome.entering,
        "flops": "" if outcome is None else outcome.flops,
        "status": cell.status, "reason": cell.reason, "model": bench.eyes.name,
        "model_sha256": bench.eyes.digest[:16], "data_sha256": bench.questions.manifest["sha256"][:16],
        "backend": "torch cpu, hooks" if one.place == "hooks" else "torch cpu", "dtype": "float32",
        "quantization": "none", "seed": seed, "fallbacks": "none",
        "versions": " ".join(f"{name} {value}" for name, value in versions.items()),
    }  # fmt: skip


def _rules(eyes: Eyes, settings: StudySettings, work: Path) -> dict[str, AdaptiveK]:
    """Calibrate on pictures of another split, so that the mean on the test pictures is a result, not a premise."""
    other = load_questions(0, _CALIBRATION_PICTURES, seed=settings.seed, split="val")
    attentions = [one.attention for one in eyes.look(other, work)]
    mean = next(one for one in curve([_FIXED]) if one.method == "sparsezip").parameters["dominant"]
    bounds = {"k_min": 8, "k_max": 2 * mean - 8}
    return {
        "mass": calibrated("mass", mean, attentions, **bounds),
        "entropy": calibrated("entropy", mean, attentions, **bounds),
    }


def _configurations(settings: StudySettings, rules: dict[str, AdaptiveK]) -> list[Configuration]:
    wanted: list[Configuration] = []
    needs_curve = {"curve", "adaptive", "sweep", "policy"} & set(settings.parts)
    if needs_curve:
        wanted += curve(settings.budgets)
    if "two_by_two" in settings.parts:
        wanted += two_by_two(settings.square_budgets)
    if {"adaptive", "sweep"} & set(settings.parts):
        wanted += curve([_FIXED])
    wanted += adaptive_part(rules, _FIXED)
    if "sweep" in settings.parts:
        wanted += [one for *_, one in sweep(_FIXED)]
    return list({one.name: one for one in wanted}.values())


def _write_curve(scores: Scores, settings: StudySettings, output: Path) -> None:
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


def _write_effects(scores: Scores, settings: StudySettings, output: Path) -> None:
    rows = [row for budget in settings.square_budgets for row in effect_rows(scores, budget)]
    write_table(output / "effects.csv", rows, ("budget", "group", "effect"))


def _write_audit(bench: Bench, output: Path) -> None:
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
        bounds = {"k_min": method.rules.k_min, "k_max": method.rules.k_max}
        rows.append({"configuration": name} | bounds | found.row())
    write_table(output / "audit.csv", rows)


def _write_adaptive(
    bench: Bench, scores: Scores, cells: Sequence[Cell], rules: dict[str, AdaptiveK], output: Path
) -> None:
    rows, counts = [], []
    for cell in cells:
        if cell.configuration.part != "adaptive" or cell.outcome is None:
            continue
        name, rule = cell.configuration.name, cell.configuration.adaptive
        found = audited(
            cell.outcome.kept, cell.outcome.merged, k_min=rule["k_min"], k_max=rule["k_max"], is_dynamic=True
        )
        row: dict[str, Any] = {"configuration": name, "rule": rule["rule"], "knob": rule["knob"]}
        bounds = {"k_min": rule["k_min"], "k_max": rule["k_max"], "aimed_total": _FIXED}
        rows.append(row | bounds | found.row())
        counts += [{"configuration": name, "picture": n, "k": k} for n, k in enumerate(cell.outcome.kept)]
    write_table(output / "adaptive.csv", rows)
    write_table(output / "adaptive_k.csv", counts)
    pairs = [
        pair_row(scores, "adaptive K", group, str(row["configuration"]), _BASE, allow_unequal=True)
        for row in rows
        for group in scores.benchmarks
    ]
    write_table(output / "adaptive_pairs.csv", pairs)


def _write_sweep(bench: Bench, scores: Scores, output: Path) -> None:
    rows = []
    defaults = scores.cells[_BASE].configuration
    for knob, value, one in [("defaults", "", defaults), *sweep(_FIXED)]:
        row: dict[str, Any] = {"knob": knob, "value": value, "configuration": one.name}
        row |= proxy_row(bench, one)
        if one.name in scores.cells:
            row["visual_tokens"] = scores.tokens(one.name)
            for group in scores.benchmarks:
                found = pair_row(scores, "sweep", group, one.name, _BASE)
                row |= {
                    f"{group} accuracy": found["first_accuracy"], f"{group} difference": found["difference"],
                    f"{group} low": found["low"], f"{group} high": found["high"],
                    f"{group} p_value": found["p_value"], f"{group} verdict": found["verdict"],
                }  # fmt: skip
        rows.append(row)
    write_table(output / "sweep.csv", _with_front(rows, scores.benchmarks))


def _with_front(rows: list[dict[str, Any]], benchmarks: Sequence[str]) -> list[dict[str, Any]]:
    """Mark the rows that no other beats in coverage, in error and in every accuracy at once."""

    def values(row: dict[str, Any]) -> list[float]:
        accuracies = [float(row.get(f"{name} accuracy", 0.0)) for name in benchmarks]
        return [row["coverage"], -row["error"], *accuracies]

    marked = []
    for row in rows:
        own = values(row)
        is_beaten = any(
            all(a >= b for a, b in zip(values(other), own, strict=True)) and values(other) != own for other in rows
        )  # fmt: skip
        marked.append(row | {"is_on_front": not is_beaten})
    return marked


def _write_policy(scores: Scores, questions: QuestionSet, settings: StudySettings, output: Path) -> None:
    rows: list[dict[str, Any]] = []
    if _FIXED in settings.budgets:
        for method in ("visionzip_placed", "sparsezip_placed"):
            rows += policy_rows(scores, questions, method, settings.budgets, _FIXED)
    write_table(output / "policy.csv", rows, ("method", "kind", "budget"))


def _write_latency(bench: Bench, settings: StudySettings, output: Path, track: Track) -> None:
    names = {"dense", *(f"{method}-{_FIXED}" for method in ("visionzip", "sparsezip", "sparsevlm"))}
    chosen = [one for one in curve([_FIXED]) if one.name in names]
    count = settings.timed_pictures
    times = measured(bench, chosen, count, track=lambda items: track(items, "timing", count))
    write_table(output / "latency.csv", latency_rows(times))
    write_table(output / "latency_by_length.csv", length_matched(times, "dense"))
