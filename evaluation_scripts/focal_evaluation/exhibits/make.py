"""Makes exhibits: table, claims and figure of each into one folder, and a list of what was and was not made."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import pandas as pd

from focal_common.console import track
from focal_common.errors import FocalError
from focal_common.files import atomic_write_text
from focal_evaluation.claims.claims import Kind
from focal_evaluation.claims.results import Results
from focal_evaluation.claims.verdicts import Tally, tally, verdict_frame
from focal_evaluation.exhibits.base import DONE, Exhibit
from focal_evaluation.exhibits.registry import EXHIBITS
from focal_evaluation.exhibits.style import FORMATS, save, style
from focal_evaluation.results.result_frame import FIDELITIES


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one exhibit.

    Attributes:
        name: Exhibit.
        title: Its title.
        fidelity: Level of modelling.
        status: `DONE`, or why there is no figure.
        absent: Rows without a number.
        tallies: Claims it answers and those that hold, by what our number rests on.
        paths: Files written.
    """

    name: str
    title: str
    fidelity: str
    status: str
    absent: int = 0
    tallies: Mapping[Kind, Tally] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()


def needs_of(names: Iterable[str]) -> frozenset[str]:
    """Return the result sets that exhibits read."""
    return frozenset[str]().union(*(EXHIBITS.load(name).needs for name in names))


def make_all(
    names: Sequence[str], results: Results, output: Path, formats: tuple[str, ...] = FORMATS
) -> list[Made]:
    """Make exhibits; one that cannot be made has a status that says why.

    Args:
        names: Of the registry.
        results: Results.
        output: Folder; ``NAME.pdf``, ``NAME.png``, ``NAME.svg``, ``NAME.csv`` and ``NAME_claims.csv`` go there.
        formats: Of the figures.

    Raises:
        RunError: A file cannot be written.
    """
    made = []
    for name in track(names, "exhibits"):
        exhibit = EXHIBITS.load(name)
        fidelity = "parity and cycle" if exhibit.both else results.fidelity
        if results.fidelity not in exhibit.fidelities and not exhibit.both:
            reason = f"exists in fidelity {' and '.join(exhibit.fidelities)} only"
            made.append(Made(name, exhibit.title, fidelity, reason))
            continue
        made.append(_make(exhibit, results, output, fidelity, formats))
    return made


def _make(exhibit: Exhibit, results: Results, output: Path, fidelity: str, formats: tuple[str, ...]) -> Made:
    try:
        table = exhibit.table(results)
        levels = FIDELITIES if exhibit.both else (results.fidelity,)
        marks = [note for level in levels for note in replace(results, fidelity=level).mixed_notes]
        table = replace(table, notes=(*dict.fromkeys(marks), *table.notes))
    except FocalError as error:
        return Made(exhibit.name, exhibit.title, fidelity, str(error))
    claims = [claim for claim in results.claims if exhibit.claims(claim)]
    texts = {f"{exhibit.name}.csv": csv_text(table.frame)}
    if claims and not exhibit.both:
        texts[f"{exhibit.name}_claims.csv"] = csv_text(verdict_frame(claims, results))
    stem = output / exhibit.name
    paths = [stem.with_name(name) for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        atomic_write_text(path, text)
    with style():
        paths += save(exhibit.draw(table), stem, formats)
    absent = int((table.frame["status"] != DONE).sum()) if "status" in table.frame.columns else 0
    return Made(
        exhibit.name,
        exhibit.title,
        fidelity,
        DONE,
        absent=absent,
        tallies=tally(claims, results),
        paths=tuple(paths),
    )


def csv_text(frame: pd.DataFrame) -> str:
    """Return CSV text with Unix line ends; real numbers with nine significant digits, the same on every machine."""
    text = io.StringIO()
    frame.to_csv(text, index=False, lineterminator="\n", float_format="%.9g")
    return text.getvalue()


def write_index(made: Sequence[Made], results: Results, output: Path) -> list[Path]:
    """Write ``index.csv``, one row per exhibit with its status, and ``claims.csv``, every claim of the paper."""
    rows = [
        {
            "exhibit": item.name,
            "title": item.title,
            "fidelity": item.fidelity,
            "status": item.status,
            "absent_rows": item.absent,
            **{
                f"{kind}_claims{what}": getattr(item.tallies.get(kind, Tally()), name)
                for kind in get_args(Kind)
                for what, name in (("", "claims"), ("_compared", "compared"), ("_met", "met"))
            },
        }
        for item in made
    ]
    paths = [output / "index.csv", output / "claims.csv"]
    atomic_write_text(paths[0], csv_text(pd.DataFrame(rows)))
    atomic_write_text(paths[1], csv_text(verdict_frame(results.claims, results)))
    return paths
