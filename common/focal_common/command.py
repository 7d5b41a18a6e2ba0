"""The installed command ``focal``: a table of verbs, each loaded when it is called."""

from __future__ import annotations

import sys
from typing import Any

from focal_common import __version__
from focal_common.console import output_console, run_command
from focal_common.errors import FocalError
from focal_common.registry import Registry

__all__ = ["VERBS", "main"]

VERBS: Registry[Any] = Registry(
    "verb",
    {
        "arena": "focal_algorithm.cli_arena:app",
        "compare": "focal_algorithm.cli_compare:app",
        "convert-model": "focal_algorithm.cli_convert:app",
        "data": "focal_algorithm.cli_data:app",
        "doctor": "focal_algorithm.cli_doctor:app",
        "eval": "focal_algorithm.cli_eval:app",
        "explain": "focal_simulator.cli_explain:app",
        "gpu": "focal_simulator.cli_gpu:app",
        "matrix": "focal_algorithm.cli_matrix:app",
        "measure": "focal_algorithm.cli_measure:app",
        "report": "focal_evaluation.report.cli:app",
        "reproduce": "focal_evaluation.cli:app",
        "show": "focal_evaluation.overlays.cli:app",
        "sim": "focal_simulator.cli:app",
        "sparsezip": "focal_algorithm.cli_sparsezip:app",
        "sparsezip-report": "focal_evaluation.zip_study.cli:app",
        "sweep": "focal_simulator.sweep.cli:app",
        "trace": "focal_algorithm.cli:app",
        "train": "focal_algorithm.cli_train:app",
    },
    group="focal.verbs",
)
"""Each verb is a Typer application. Names are plain strings: no dependency on other packages."""

_SUMMARY = {
    "arena": "all methods at equal budget: accuracy measured, cycles and energy simulated",
    "compare": "two runs of eval, question by question: McNemar, paired bootstrap",
    "convert-model": "rewrite a LLaVA-Video checkpoint as first published for use with --model",
    "data": "look at the procedural benchmarks",
    "doctor": "look at the environment and at a model: what is supported, and why not",
    "eval": "accuracy of a model with a method attached, through lmms-eval",
    "explain": "the arithmetic behind the cycles of one layer, and what bounds it",
    "gpu": "roofline estimates of whole inferences on GPUs",
    "matrix": "models x datasets x methods from one file, resumable; the scripts run_*.sh",
    "measure": "accuracy and trace of a method in one run, for studies",
    "report": "put result folders into one HTML page that opens without network",
    "reproduce": "published figures and tables; every published number against a run; generated pages",
    "show": "draw what a method kept, merged and dropped on the frames, layer by layer",
    "sim": "simulate traces on accelerators: cycles, energy, area",
    "sparsezip": "token selection at equal budgets: the SparseZip study, POPE and MME runs, comparisons",
    "sparsezip-report": "summary and pictures from the tables of focal sparsezip",
    "sweep": "explore a design space: grids, searches, Pareto fronts; resumable, on many workers",
    "trace": "record a sparse trace from a model; info, validate, convert, diff",
    "train": "train the offline models again; check what they have learned",
}


def _help() -> str:
    lines = [
        f"Focal {__version__}: compress vision-language models, trace them, simulate the traces.",
        "",
        "usage: focal VERB [OPTIONS]      (focal VERB --help for one verb)",
        "",
    ]
    lines += [f"  {verb:<17} {_SUMMARY.get(verb, '')}".rstrip() for verb in VERBS]
    lines += ["", "  --version      print the version", "  --help         this page"]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Run one verb and leave with its exit code: 0 done, 1 failed, 2 wrong use."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        output_console().print(_help(), markup=False)
        sys.exit(0 if words else 2)
    if words[0] == "--version":
        output_console().print(f"focal {__version__}", markup=False)
        sys.exit(0)
    try:
        application = VERBS.load(words[0])
    except FocalError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    # Help names the verb, and a manifest repeats the command: neither may hold the verb twice.
    sys.argv[:] = [f"focal {words[0]}", *words[1:]]
    sys.exit(run_command(application, words[1:]))
