"""What ``focal trace`` prints: sparsity per sample; for a benchmark, accuracy beside speed-up and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from focal_common.console import errors_console, output_console
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
    """Print one line per system: accuracy, sparsity and, if the trace was simulated, speed-up and energy.

    Args:
        result: Of a run on a benchmark.
        simulation: Of its trace; None where nothing was simulated.
    """
    accuracy = result.accuracy or {}
    method, dense = accuracy["method"], accuracy["dense"]
    console = output_console()
    table = Table(title=_title(result))
    table.add_column("system", no_wrap=True)
    for heading in (
        "right",
        "accuracy",
        "95 % interval",
        "sparsity",
        "speed-up",
        "energy (mJ)",
        "energy\nvs. dense",
    ):
        table.add_column(heading, justify="right")
    answered = {method: accuracy} | ({"dense": dense} if dense else {})
    report = simulation or Report()
    rows = {row["accelerator"]: row for row in report.rows}
    sample = result.samples[result.trace.chosen_sample()]
    for name in dict.fromkeys((*(["dense"] if dense else []), *rows, method)):
        sparsity = sample["weighted_sparsity"] if name == method else 0.0 if name == "dense" else None
        table.add_row(escape(name), *_shares(answered.get(name)), _percent(sparsity), *_costs(rows, name))
    console.print(table)
    console.print(
        f"accuracy: measured on {accuracy['n']} questions about {accuracy['samples']} samples of "
        f"{accuracy['task']} ({accuracy['split']}), {accuracy['unparsable']} unparsable answers counted as wrong; "
        f"intervals: Wilson, questions taken as independent; linear layers {accuracy['linear_layers']}",
        markup=False,
    )
    console.print(
        f"sparsity: zero or similar vectors of {sample['sample_id']}, the sample of median sparsity"
        + (", which is simulated: prefill, visual tokens" if rows else ""),
        markup=False,
    )
    if rows:
        console.print(report.basis, markup=False)
    borrowed = [name for name in rows if name not in answered and name != "dense"]
    if borrowed:
        console.print(
            f"{', '.join(borrowed)}: no run of its own but other hardware for the same traces; accuracy was measured "
            f"for {method} alone; docs/methods.md says what each accelerator takes from a trace",
            markup=False,
        )
    for note in report.notes:
        errors_console().print(f"note: {note}", markup=False)
    _print_files(result)
    for path in report.paths:
        console.print(f"simulation {path}", markup=False)


def _shares(found: dict[str, Any] | None) -> tuple[str, str, str]:
    if found is None:
        return "", "", ""
    interval = f"{found['low']:.1f} to {found['high']:.1f} %"
    return f"{found['right']} of {found['n']}", f"{found['accuracy']:.1f} %", interval


def _costs(rows: dict[str, dict[str, Any]], name: str) -> tuple[str, str, str]:
    if name not in rows:
        return "", "", ""
    row = rows[name]
    speedup, energy = row["speedup_over_dense"], row["energy_over_dense"]
    return (
        "" if speedup == "" else f"{speedup:.2f} x",
        f"{row['energy_mj']:.4g}",
        "" if energy == "" else f"{energy:.3f}",
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _title(result: RunResult) -> str:
    header = result.trace.header
    return f"{header.method} on {header.model} ({header.checkpoint}), {header.dataset}"


def _print_files(result: RunResult) -> None:
    for role, path in result.files.items():
        output_console().print(f"{role:<10} {path}", markup=False)
