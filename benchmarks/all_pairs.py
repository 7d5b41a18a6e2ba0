"""Traces every method in every model family and simulates each trace on every accelerator: one table.

Run ``python benchmarks/all_pairs.py`` from the top folder of the repository. Weights are random and pictures are
synthetic camera paths over photographs, so the numbers show that each pair runs and what it is charged, and say
nothing about accuracy or about a trained model. Cycles are those of the visual tokens' prefill in the tiny decoder.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from focal_algorithm.methods import METHODS
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.study import paper_of
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.runner import RunResult
from focal_algorithm.tracing.runner import run as run_trace
from focal_algorithm.tracing.settings import RunSettings
from focal_common.console import output_console, track
from focal_common.errors import FocalError, UnsupportedError
from focal_common.files import atomic_write_text
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.results.runner import Settings, run_all
from focal_simulator.workload.loading import load_workloads
from focal_traces.root.root import TraceRoot

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "methods.md"
START, END = "<!-- {} written by benchmarks/all_pairs.py --page -->", "<!-- end of what is written -->"
ORIGIN = "synthetic: random weights"
SMALL_BUDGET: dict[str, dict[str, Any]] = {
    "visionzip": {"dominant": 2, "contextual": 1},
    "zip_parts": {"dominant": 2, "contextual": 1},
    "sparsezip": {"dominant": 2, "contextual": 1, "k_min": 1, "k_max": 3},
    "sparsevlm": {"scale_by_tokens": True},
    "adaptiv": {"threshold": 0.1},
    "dycoke": {"mode": "strict"},
    "fastvid": {"retain_ratio": 0.5, "mode": "strict"},
    "holitom": {"retain_ratio": 0.4},
    "cmc": {"threshold": 0.05, "query_threshold": 0.1},
}
"""Where the published budget exceeds the few tokens of a tiny model, or random weights would never reach it."""


@dataclass(frozen=True)
class PairRow:
    """One line of the table.

    Attributes:
        method: Registry name.
        model: Registry name.
        outcome: ``ok``, or why the pair is refused.
        visual_tokens: Of the prompt.
        kept_tokens: Alive at each GEMM input, mean over layers.
        vector_sparsity: Zero and similar vectors, weighted by the work behind them.
        cycles: By accelerator; the reason where it refuses the trace.
    """

    method: str
    model: str
    outcome: str
    visual_tokens: int = 0
    kept_tokens: float = 0.0
    vector_sparsity: float = 0.0
    cycles: dict[str, int | str] | None = None

    def cells(self) -> dict[str, str]:
        """Return the row of the CSV."""
        is_ok = self.outcome == "ok"
        numbers = {
            "visual_tokens": str(self.visual_tokens) if is_ok else "",
            "kept_tokens": f"{self.kept_tokens:.2f}" if is_ok else "",
            "vector_sparsity": f"{self.vector_sparsity:.4f}" if is_ok else "",
        }
        cycles = {f"cycles_{name}": str((self.cycles or {}).get(name, "")) for name in ACCELERATORS}
        return {
            "method": self.method,
            "model": self.model,
            "outcome": self.outcome,
            **numbers,
            **cycles,
            "origin": ORIGIN,
        }


def traced(root: Path, method: str, model: str, options: argparse.Namespace) -> RunResult:
    """Record one pair as ``focal trace --method METHOD --model MODEL --size tiny`` does."""
    settings = RunSettings(
        output=root,
        model=model,
        size="tiny",
        method=method,
        parameters=SMALL_BUDGET.get(method, {}),
        samples=1,
        frames=options.frames,
        new_tokens=1,
        threads=1,
    )
    return run_trace(settings)


def simulated(root: Path, model: str, folder: str) -> dict[str, int | str]:
    """Return cycles of a trace by accelerator, or the reason of a refusal."""
    found: dict[str, int | str] = {}
    workloads = load_workloads(TraceRoot.open(root), [model], [], folder)
    for name in ACCELERATORS:
        try:
            outcome = run_all(Settings(accelerators=(name,)), workloads)
        except UnsupportedError as refusal:
            found[name] = f"refused: {refusal}"
            continue
        found[name] = int(outcome.runs[0].row["cycles"])
    return found


def rows(root: Path, options: argparse.Namespace) -> Iterator[PairRow]:
    """Yield the pairs, model by model; the first method of a root owns its workload row."""
    methods = sorted(METHODS, key=lambda name: name != "focus")
    pairs = [(method, model) for model in MODELS for method in methods]
    for method, model in track(pairs, "pairs", len(pairs)):
        try:
            result = traced(root, method, model, options)
        except FocalError as refusal:
            yield PairRow(method, model, f"refused: {refusal}")
            continue
        sample = result.samples[result.trace.chosen_sample()]
        totals = result.trace.totals(result.trace.chosen_sample())
        built = build_method(method, {})
        folder = built.study.folder(built)
        yield PairRow(
            method,
            model,
            "ok",
            sample["visual_tokens"],
            float(totals.tokens.mean()),
            float(sample["weighted_sparsity"] or 0.0),
            simulated(root, model, folder),
        )


def shown(found: list[PairRow]) -> Table:
    """Return the table; a refusal of an accelerator is a dash, and its reason is in the CSV."""
    table = Table(title=f"Every method in every family, on every accelerator ({ORIGIN})")
    for heading in ("model", "method", "outcome"):
        table.add_column(heading)
    for heading in ("tokens", "kept", "sparsity", *ACCELERATORS):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found:
        cycles = [(row.cycles or {}).get(name, "") for name in ACCELERATORS]
        cells = row.cells()
        table.add_row(
            *(cells[name] for name in ("model", "method", "outcome", "visual_tokens", "kept_tokens")),
            cells["vector_sparsity"],
            *(f"{one:,}" if isinstance(one, int) else one and "-" for one in cycles),
        )
    return table


def support_table(found: list[PairRow]) -> str:
    """Return the Markdown table of methods by families, with the reasons of refusals below."""
    reasons: list[str] = []
    lines = ["| |" + "".join(f" `{model}` |" for model in MODELS), "|---|" + "---|" * len(list(MODELS))]
    for method in METHODS:
        cells = []
        for model in MODELS:
            row = next(one for one in found if (one.method, one.model) == (method, model))
            if row.outcome == "ok":
                cells.append("works")
                continue
            reason = re.sub(r"^refused: (\S+-\d+-\d+: )?", "", row.outcome)
            reasons += [reason] if reason not in reasons else []
            cells.append(f"refused ({reasons.index(reason) + 1})")
        lines.append(f"| `{method}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *(f"{place}. {reason}." for place, reason in enumerate(reasons, 1))])


def method_table() -> str:
    """Return the Markdown table of methods, from the docstrings of their classes."""
    lines = ["| method | what it is | paper | own trace folder |", "|---|---|---|---|"]
    for name in METHODS:
        method = build_method(name, {})
        summary = (type(method).__doc__ or "").strip().splitlines()[0]
        folder = method.study.folder(method)
        lines.append(f"| `{name}` | {summary} | {paper_of(type(method))} | `{folder}` |")
    return "\n".join(lines)


def written(page: str, what: str, text: str) -> str:
    """Return a page with the part between the marks of one table replaced."""
    before, mark, rest = page.partition(START.format(what))
    if not mark:
        raise ValueError(f"no mark {START.format(what)} in the page")
    return f"{before}{mark}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def write_page(path: Path, found: list[PairRow]) -> None:
    """Replace both tables of the page."""
    page = written(path.read_text(encoding="utf-8"), "methods:", method_table())
    atomic_write_text(path, written(page, "pairs:", support_table(found)))


def main() -> None:
    """Run all pairs, print the table and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--traces", type=Path, default=Path("output/all_pairs"), help="trace root to write")
    parser.add_argument("--csv", type=Path, default=ROOT / "example_output" / "all_pairs" / "pairs.csv")
    parser.add_argument("--page", action="store_true", help="also write the tables of docs/methods.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = list(rows(options.traces, options))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(found[0].cells()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.cells() for row in found)
    atomic_write_text(options.csv, text.getvalue())
    if options.page:
        write_page(PAGE, found)
    output_console().print(shown(found))
    print(f"wrote {options.csv}")


if __name__ == "__main__":
    main()
