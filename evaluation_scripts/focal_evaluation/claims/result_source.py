"""Where exhibits come from: published inputs, a trace root, or a result folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from focal_common.errors import FocalError, TraceError, near_matches
from focal_common.places import published_root
from focal_evaluation.claims.results import Results, open_results
from focal_evaluation.results.published_runs import PAPER_ACCELERATORS, run_parts
from focal_simulator.results.rows import read_results

PUBLISHED = published_root()

SOURCES = {"published": PUBLISHED}
"""Words for trace roots that ship with the repository."""


@dataclass(frozen=True, slots=True)
class ResultSource:
    """A place to take results from.

    Attributes:
        path: Trace root or result folder.
        is_trace_root: Whether it must be simulated first.
    """

    path: Path
    is_trace_root: bool


def find_source(word: str) -> ResultSource:
    """Return the source that a word or a folder names.

    Raises:
        TraceError: No such folder, or it holds neither traces nor results.
    """
    path = SOURCES.get(word, Path(word))
    if not path.is_dir():
        known = f"; {near_matches(word, SOURCES)}, or a folder"
        if word in SOURCES:
            known = "; run in the root of a repository that holds it"
        raise TraceError(f"{word}: {path} is no folder{known}", about=("source",))
    if (path / "meta_data.csv").exists():
        return ResultSource(path, is_trace_root=True)
    try:
        read_results(path)
    except TraceError as error:
        raise TraceError(
            f"{word}: no trace root with meta_data.csv, and {error}", about=("source",)
        ) from error
    return ResultSource(path, is_trace_root=False)


def results_of(
    source: ResultSource, root: Path, fidelity: str, needs: frozenset[str], results: Path, is_mixed: bool
) -> tuple[Results, list[str]]:
    """Return results of a source, simulated into ``results`` where it holds traces.

    Args:
        source: From `find_source`.
        root: Trace root with the published tables and claims.
        fidelity: ``parity`` or ``cycle``; empty takes parity, or what a result folder holds.
        needs: Result sets to simulate: ``main``, ``int8``, ``sweeps``, ``tiles``.
        results: Folder for simulated results.
        is_mixed: Show rows of different versions or corrections together.

    Returns:
        The results, and one sentence for each result set that could not be made.

    Raises:
        FocalError: The main results cannot be made, or the folder is refused.
    """
    if not source.is_trace_root:
        return open_results(source.path, root, fidelity, is_mixed), []
    level = fidelity or "parity"
    problems: list[str] = []
    # Of the published inputs every accelerator of the paper must run; elsewhere, whichever accepts the workloads.
    accelerators = PAPER_ACCELERATORS if source.path.resolve() == root.resolve() else ("all",)
    parts = ("int8", "main", "sweeps", "tiles") if level == "parity" else ("int8", "main")
    for part in [name for name in parts if name in needs | {"main"}]:
        try:
            run_parts(source.path, results, level, (part,), accelerators)
        except FocalError as error:
            if part == "main":
                raise
            problems.append(f"{part}: {error}")
    return open_results(results, root, level, is_mixed), problems
