"""What exhibits are made of: the rows of one fidelity, the published tables, and numbers to set beside claims."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from focal_common.errors import ConfigError, TraceError, near_matches
from focal_common.reading.frames import csv_frame
from focal_evaluation.claims.claim_notes import Remark, read_remarks
from focal_evaluation.claims.claims import Claim, Key, Reproduced, read_claims
from focal_evaluation.claims.correction_steps import read_steps
from focal_evaluation.claims.headlines import headline_numbers
from focal_evaluation.claims.result_rows import PublishedRows, numbers_of_rows, read_published_rows
from focal_evaluation.results.result_frame import (
    FIDELITIES,
    INT8_FOLDER,
    check_frame,
    check_labels,
    check_settings,
    check_uniform,
    fidelities_of,
    mixed_notes,
    read_frame,
    read_labels,
    repeated,
    strangers,
)
from focal_simulator.results.rows import read_results
from focal_simulator.results.tile_lengths import SUMMARY_COLUMNS
from focal_traces.root.root import MAIN_FOLDER

_TILES = "tile_lengths.csv"
_BREAKDOWN_SUBJECT = "llava_vid/videomme"


@dataclass(frozen=True)
class Results:
    """Results of one fidelity.

    Attributes:
        folder: Result folder.
        root: Trace root with the published tables and claims.
        fidelity: ``parity`` or ``cycle``.
        is_mixed: Whether rows of different versions or corrections were asked for.
    """

    folder: Path
    root: Path
    fidelity: str
    is_mixed: bool = False

    @cached_property
    def labels(self) -> pd.DataFrame:
        """Labels of every result row that must agree; see `read_labels`."""
        return read_labels(self.folder, self.fidelity)

    @property
    def mixed_notes(self) -> tuple[str, ...]:
        """Sentences for the foot of whatever is made of rows that must not be compared."""
        double = len(repeated(self.rows))
        again = (f"MIXED: of repeated rows the first is shown ({double} left out).",) if double else ()
        others = strangers(self.rows)
        settings = (f"MIXED settings: {', '.join(others)} and the dense rows.",) if others else ()
        return (*mixed_notes(self.labels), *again, *settings)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Rows of the main runs; see `read_frame`."""
        return self._read(MAIN_FOLDER)

    @cached_property
    def int8(self) -> pd.DataFrame:
        """Rows of the INT8 runs; see `read_frame`."""
        return self._read(INT8_FOLDER)

    @cached_property
    def published(self) -> PublishedRows:
        """Rows by exhibit and subject, of the experiments that are there."""
        return read_published_rows(self.folder, self.fidelity)

    @cached_property
    def tiles(self) -> pd.DataFrame:
        """Histogram of tile lengths; raises `TraceError` where there is none."""
        path = self.folder / _TILES
        needed = ("model", "dataset", "bin_start", "bin_stop", "density", *SUMMARY_COLUMNS)
        frame = csv_frame(
            path, needed, TraceError, "focal sim writes it, asked for tile lengths, from traces", needed[2:]
        )
        if frame.empty:
            raise TraceError(f"{path}: holds no rows, expected at least one")
        check_frame(frame, path)
        return frame

    @cached_property
    def claims(self) -> list[Claim]:
        """Every published claim."""
        return read_claims(self.root)

    @cached_property
    def remarks(self) -> dict[Key, Remark]:
        """What a reader must know of single claims."""
        return read_remarks(self.root)

    @cached_property
    def correction_steps(self) -> dict[Key, tuple[float, ...]]:
        """Claimed numbers of the published inputs after each correction; see `read_steps`."""
        return read_steps(self.root)

    @cached_property
    def numbers(self) -> dict[Key, Reproduced]:
        """Every number of ours that a claim may ask for, as far as the results hold it."""
        rows = dict(self.published)
        if _BREAKDOWN_SUBJECT not in rows.get("main_focus", {}):
            # The breakdown is then of another workload than the published one.
            rows.pop("breakdown", None)
        found = numbers_of_rows(rows)
        for key, value in headline_numbers(rows, self.root).items():
            found[key] = Reproduced(value, "")
        if (self.folder / _TILES).exists():
            found |= self._tile_numbers()
        return found

    def sweep(self, name: str, column: str) -> pd.DataFrame:
        """Return the rows of a sweep by swept value, as text in ``value``.

        Raises:
            TraceError: The folder holds no such sweep.
        """
        rows = self.published.get(name)
        if not rows:
            raise TraceError(f"{self.folder}: holds no rows of the sweep over {column}")
        return pd.DataFrame(
            [{"value": value, "origin": row.origin, **row.numbers} for value, row in rows.items()]
        )

    def _read(self, variant: str) -> pd.DataFrame:
        frame = read_frame(self.folder, self.fidelity, variant)
        if not self.is_mixed:
            check_uniform(frame, str(self.folder))
            check_settings(frame, str(self.folder))
        return frame

    def _tile_numbers(self) -> dict[Key, Reproduced]:
        pools = self.tiles[(self.tiles["model"] == "llava_vid") & (self.tiles["dataset"] == "(all)")]
        if pools.empty:
            return {}
        pool = pools.iloc[0]
        return {
            ("fig_13", "llava_vid, 3 datasets", quantity): Reproduced(float(pool[column]), "")
            for quantity, column in {
                "mean": "mean_length",
                "standard_deviation": "std_length",
                "minimum": "shortest",
                "maximum": "longest",
                "utilisation": "utilisation_published",
            }.items()
        }


def open_results(folder: Path, root: Path, fidelity: str, is_mixed: bool = False) -> Results:
    """Return the results of a folder.

    Args:
        folder: Result folder of `focal sim`.
        root: Trace root with the published tables and claims.
        fidelity: ``parity`` or ``cycle``; empty takes the only one that the folder holds.
        is_mixed: Show rows of different versions or corrections together.

    Raises:
        ConfigError: The fidelity is unknown, or the folder holds both and none was asked for.
        TraceError: The folder holds no results of that fidelity, or rows of any of its files, sweeps included, that
            must not be compared.
    """
    if fidelity and fidelity not in FIDELITIES:
        raise ConfigError(f"fidelity '{fidelity}': {near_matches(fidelity, FIDELITIES)}", about=("fidelity",))
    read_results(folder)
    found = fidelities_of(folder)
    if not found:
        raise TraceError(f"{folder}: holds no rows of {MAIN_FOLDER}, expected main results of focal sim")
    if not fidelity:
        if len(found) > 1:
            raise ConfigError(
                f"{folder}: holds results of fidelities {' and '.join(found)}; choose one of them",
                about=("fidelity",),
            )
        fidelity = found[0]
    if fidelity not in found:
        raise TraceError(f"{folder}: holds no results of fidelity {fidelity}, only of {', '.join(found)}")
    results = Results(folder, root, fidelity, is_mixed)
    if not is_mixed:
        # Once and for all files, before anything is made of them.
        check_labels(results.labels, str(folder))
        _ = results.rows
    return results
