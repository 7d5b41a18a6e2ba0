"""What one call of ``focal reproduce`` does for exhibits, from words to files and a printed table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd
from rich.markup import escape
from rich.table import Table

from focal_common.errors import ConfigError, RunError, near_matches
from focal_evaluation.claims.claims import Kind
from focal_evaluation.claims.result_source import ResultSource, find_source, results_of
from focal_evaluation.claims.verdicts import Tally
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.make import Made, make_all, needs_of, write_index
from focal_evaluation.exhibits.registry import EXHIBITS, GROUPS, chosen_names
from focal_evaluation.exhibits.style import FORMATS
from focal_evaluation.results.result_frame import check_labels


@dataclass(frozen=True, slots=True)
class ExhibitReport:
    """What to show: a table, and notes for stderr."""

    made: list[Made]
    table: Table
    notes: list[str]


def make_exhibits(
    words: Sequence[str], source: str, fidelity: str, root: Path, output: Path, is_mixed: bool, formats: str
) -> ExhibitReport:
    """Make the exhibits that words name.

    Args:
        words: Exhibits and groups.
        source: Word of `SOURCES`, or a folder.
        fidelity: ``parity``, ``cycle`` or empty.
        root: Trace root with the published tables and claims.
        output: Folder; results that had to be simulated go to ``results`` in it.
        is_mixed: Show rows of different versions or corrections together.
        formats: Of the figures, separated by commas.

    Raises:
        ConfigError: An unknown exhibit, fidelity or format, or a folder with two fidelities.
        TraceError: The source holds no results, or rows that must not be compared; nothing is written.
        RunError: An exhibit asked for by its own name could not be made; the others are written.
    """
    kinds = tuple(word.strip() for word in formats.split(",") if word.strip())
    if wrong := [kind for kind in kinds if kind not in FORMATS]:
        raise ConfigError(f"format '{wrong[0]}': {near_matches(wrong[0], FORMATS)}", about=("formats",))
    names = chosen_names(words)
    place = find_source(source)
    made: list[Made] = []
    notes: list[str] = []
    alone = [name for name in names if not EXHIBITS.load(name).both]
    twins = [name for name in names if EXHIBITS.load(name).both]
    folder = output / "results"
    if alone:
        results, problems = results_of(place, root, fidelity, needs_of(alone), folder, is_mixed)
        notes += [*problems, *results.mixed_notes]
        made += make_all(alone, results, output, kinds)
        write_index(made, results, output)
    if twins:
        made += _twins(twins, place, root, folder, output, kinds, is_mixed)
    absent = [item for item in made if item.absent]
    notes += [f"{item.name}: {item.absent} cells are absent, see column 'status'" for item in absent]
    report = ExhibitReport(made, _table(made), notes)
    failed = [item for item in made if item.status != DONE and item.name in words and item.name not in GROUPS]
    if failed:
        raise RunError(f"{failed[0].name} was not made: {failed[0].status}")
    return report


def _twins(
    names: list[str],
    place: ResultSource,
    root: Path,
    folder: Path,
    output: Path,
    kinds: tuple[str, ...],
    is_mixed: bool,
) -> list[Made]:
    main = frozenset({"main"})
    published, _ = results_of(place, root, "parity", main, folder, is_mixed)
    corrected, _ = results_of(place, root, "cycle", main, folder, is_mixed)
    if not is_mixed:
        versions = pd.concat([published.labels, corrected.labels], ignore_index=True)
        check_labels(versions.assign(fidelity="", corrections=""), str(published.folder))
    # Twins find the other fidelity beside this one.
    return make_all(names, published, output, kinds)


def _table(made: Sequence[Made]) -> Table:
    table = Table(title="Exhibits")
    # Claims met, by what our numbers rest on; a solved number that agrees is no evidence.
    for name in ("exhibit", "title", "fidelity", *(f"met: {kind}" for kind in get_args(Kind)), "status"):
        table.add_column(name)
    for item in made:
        cells = [_met(item.tallies.get(kind, Tally())) for kind in get_args(Kind)]
        table.add_row(item.name, item.title, item.fidelity, *cells, escape(item.status))
    return table


def _met(count: Tally) -> str:
    absent = f" ({count.claims - count.compared} not compared)" if count.compared < count.claims else ""
    return f"{count.met} of {count.compared}{absent}" if count.claims else "-"
