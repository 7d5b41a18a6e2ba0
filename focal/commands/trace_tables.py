"""What ``focal trace`` prints: sparsity per sample; for a benchmark, accuracy beside speed-up and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from rich.table import Table

from focal.commands.method_table import print_lines
from focal_common.console import errors_console, output_console
from focal_simulator.results.ratios import DENSE, ENERGY, SPEEDUP
from focal_simulator.results.request import Report

if TYPE_CHECKING:
    from focal_algorithm.tracing.runner import RunResult


def print_samples(result: RunResult) -> None:
    """Print one line per sample, and the files."""
    chosen = result.trace.chosen_sample()
    table = Table(title=_title(result))
    # Short headings: the table must fit 80 columns. Percentages are zero and similar vectors.
    gemms = [gemm.removesuffix("_proj") for gemm in result.samples[0]["sparsity"]]
    table.add_column("sample", no_wrap=True)
    for heading in ("tokens", "last", *gemms, "weighted"):
        table.add_column(heading, justify="right")
    for index, sample in enumerate(result.samples):
        table.add_row(
            sample["sample_id"] + ("*" if index == chosen else ""),
            str(sample["visual_tokens"]),
            str(sample["visual_tokens_by_layer"][-1]),
            *(f"{value:.1%}" for value in sample["sparsity"].values()),
            _percent(sample["weighted_sparsity"]),
        )
    console = output_console()
    console.print(table)
    console.print(
        "tokens: visual tokens; last: alive in the last layer; percentages: zero or similar vectors; "
        "*: the sample of median sparsity, which simulations take"
    )
    _print_files(result)


def print_answers(result: RunResult, simulation: Report | None) -> None:
    """Print one line per method and accelerator: accuracy beside cost.

    Args:
        result: Of a run on a benchmark.
        simulation: Of its trace; None where nothing was simulated.
    """
    accuracy = result.accuracy or {}
    console = output_console()
    report = simulation or Report()
    sample = result.samples[result.trace.chosen_sample()]
    print_lines(_title(result), _answer_lines(accuracy, report.rows, sample))
    console.print(
        f"accuracy: measured on {accuracy['n']} questions about {accuracy['samples']} samples of "
        f"{accuracy['task']} ({accuracy['split']}), {accuracy['right']} answered right, {accuracy['unparsable']} "
        f"unparsable answers counted as wrong; intervals: Wilson, questions taken as independent; linear layers "
        f"{accuracy['linear_layers']}",
        markup=False,
    )
    dense = accuracy["dense"]
    if dense and dense["low"] <= accuracy["high"] and accuracy["low"] <= dense["high"]:
        console.print(
            f"the intervals of {accuracy['method']} and dense overlap: so few questions do not tell them apart; "
            "--questions 400 does where they differ by several points",
            markup=False,
        )
    console.print(
        f"kept tokens, sparsity (zero or similar vectors): of {sample['sample_id']}, the sample of median sparsity"
        + (", which is simulated: prefill, visual tokens" if report.rows else ""),
        markup=False,
    )
    if report.rows:
        console.print(report.basis, markup=False)
    for note in report.notes:
        errors_console().print(f"note: {note}", markup=False)
    _print_files(result)
    for path in report.paths:
        console.print(f"simulation {path}", markup=False)


def _answer_lines(
    accuracy: dict[str, Any], rows: Sequence[Mapping[str, Any]], sample: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the dense model on the dense array, then the method on each other accelerator that takes its trace."""
    method, dense = accuracy["method"], accuracy["dense"]
    hardware = {row["accelerator"]: _costs(row) for row in rows}
    whole, layers = sample["visual_tokens"], sample["visual_tokens_by_layer"]
    lines = []
    if method != DENSE and (dense or DENSE in hardware):
        base = {"method": DENSE, "present_tokens": whole, "vector_sparsity": 0.0}
        lines.append(base | _shares(dense) | hardware.get(DENSE, {}))
    own = {
        "method": method,
        "present_tokens": fmean(layers),
        "vector_sparsity": sample["weighted_sparsity"],
        **_shares(accuracy),
    }
    if dense and method != DENSE:
        own["accuracy_minus_dense"] = (accuracy["accuracy"] - dense["accuracy"]) / 100
    places = [name for name in hardware if name != DENSE or method == DENSE]
    # The accelerator of the method's own name first; a name that leads no line stands for other hardware for the trace.
    places.sort(key=lambda name: name != method)
    return [*lines, *(own | hardware[name] for name in places)] if places else [*lines, own]


def _shares(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return {}
    shares = {"accuracy": "accuracy", "accuracy_low": "low", "accuracy_high": "high"}
    return {name: found[own] / 100 for name, own in shares.items()}


def _costs(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("accelerator", "cycles", "energy_mj", "area_mm2", SPEEDUP, ENERGY)}


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _title(result: RunResult) -> str:
    header = result.trace.header
    return f"{header.method} on {header.model} ({header.checkpoint}), {header.dataset}"


def _print_files(result: RunResult) -> None:
    for role, path in result.files.items():
        output_console().print(f"{role:<10} {path}", markup=False)
