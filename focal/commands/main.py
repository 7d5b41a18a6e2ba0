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

_SUMMARIES = {
    "From a model to a speed-up": {
        "trace": "record a sparse trace; info, validate, convert, diff",
        "show": "draw on the frames what a method kept, merged and dropped",
        "sim": "simulate traces on accelerators: cycles, energy, area",
        "explain": "the arithmetic behind one layer's cycles, and its bound",
        "report": "result folders as one HTML page that opens without network",
    },
    "The paper": {
        "reproduce": "figures, tables and every published number beside a run",
    },
    "Methods against each other": {
        "arena": "all methods at equal budget: accuracy, cycles, energy, area",
        "compare": "two runs of eval, question by question: McNemar, bootstrap",
        "eval": "accuracy of a model with a method, through lmms-eval",
        "measure": "accuracy and trace of a method in one run, for studies",
        "sparsezip": "token selection in depth: the SparseZip study, POPE, MME",
        "sparsezip-report": "summary and pictures from the tables of focal sparsezip",
    },
    "Hardware": {
        "sweep": "explore a design space: grids, searches, Pareto fronts",
        "gpu": "roofline estimates of whole inferences on GPUs",
    },
    "Many runs": {
        "matrix": "models x datasets x methods of one file (run_*.sh)",
        "merge": "shards of a run put together as one process would have",
    },
    "Models and data": {
        "doctor": "what this machine and a model support, and why not",
        "data": "look at the procedural benchmarks",
        "train": "train the offline models; check what they have learned",
        "convert-model": "rewrite a LLaVA-Video checkpoint as first published",
    },
}
"""What each verb does, in groups; fits a terminal of 80 columns."""

_OTHERS = "Other packages"


def _help() -> str:
    lines = [
        f"Focal {__version__}: compress vision-language models, trace them, simulate the traces.",
        "",
        "usage: focal VERB [OPTIONS]      (focal VERB --help for one verb)",
    ]
    known = {verb for verbs in _SUMMARIES.values() for verb in verbs}
    others = {verb: "" for verb in VERBS if verb not in known}
    for group, verbs in {**_SUMMARIES, **({_OTHERS: others} if others else {})}.items():
        lines += ["", f"{group}:", *(f"  {verb:<17} {summary}".rstrip() for verb, summary in verbs.items())]
    lines += ["", "  --version         print the version", "  --help            this page"]
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
