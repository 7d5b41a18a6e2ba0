"""The installed command ``focal``: a table of verbs, each loaded when it is called."""

from __future__ import annotations

import sys
from typing import Any

from focal.commands.running import run_command, said
from focal_common import __version__
from focal_common.errors import FocalError
from focal_common.registry import Registry

VERBS: Registry[Any] = Registry(
    "verb",
    {
        "arena": "focal.commands.arena:app",
        "compare": "focal.commands.compare:app",
        "convert-model": "focal.commands.convert_model:app",
        "data": "focal.commands.data:app",
        "doctor": "focal.commands.doctor:app",
        "eval": "focal.commands.eval:app",
        "explain": "focal.commands.explain:app",
        "gpu": "focal.commands.gpu:app",
        "matrix": "focal.commands.matrix:app",
        "measure": "focal.commands.measure:app",
        "merge": "focal.commands.merge:app",
        "report": "focal.commands.report:app",
        "reproduce": "focal.commands.reproduce:app",
        "show": "focal.commands.show:app",
        "sim": "focal.commands.sim:app",
        "sparsezip": "focal.commands.sparsezip:app",
        "sparsezip-report": "focal.commands.sparsezip:report_app",
        "sweep": "focal.commands.sweep:app",
        "trace": "focal.commands.trace:app",
        "train": "focal.commands.train:app",
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
    "merge": "shards of a run that worked in separate folders, put together as one process would have",
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
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        return said(_help(), 0 if words else 2)
    if words[0] == "--version":
        return said(f"focal {__version__}", 0)
    try:
        application = VERBS.load(words[0])
    except FocalError as error:
        return said(f"error: {error}", error.exit_code, is_error=True)
    # Help names the verb, and a manifest repeats the command: neither may hold the verb twice.
    sys.argv[:] = [f"focal {words[0]}", *words[1:]]
    return run_command(application, words[1:])
