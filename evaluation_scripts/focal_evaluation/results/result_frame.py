"""Reads result folders into one frame, and refuses what must not stand side by side."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from focal_common.errors import TraceError
from focal_common.places import NAME_COLUMNS, check_names
from focal_simulator.results.published_layout import DESIGN_COLUMNS, DESIGN_TABLE
from focal_simulator.results.ratios import DENSE, ENERGY, SPEEDUP
from focal_simulator.results.rows import LABEL_COLUMNS, NUMBER_COLUMNS, RESULTS, read_results, read_rows
from focal_traces.root.root import MAIN_FOLDER

DONE = "ok"

FIDELITIES = ("parity", "cycle")
INT8_FOLDER = "focus_int8"

_POSITIVE = ("seconds", "energy_mj")
_OPTIONAL = (SPEEDUP, ENERGY, "area_mm2", "compression_ratio")
_ROW_KEYS = ["model", "dataset", "method", "variant"]

_MUST_AGREE = {"fidelity": "fidelities", "corrections": "corrections", "focal_version": "versions of Focal"}
"""Label and what several of it are called."""


def fidelities_of(folder: Path) -> list[str]:
    """Return the fidelities of which a folder holds main results; none for a folder that is no result folder.

    Raises:
        TraceError: Its table is damaged.
    """
    if not (folder / RESULTS).is_file():
        return []
    found = {row["fidelity"] for row in read_results(folder) if row["variant"] == MAIN_FOLDER}
    return [name for name in FIDELITIES if name in found]


def read_frame(folder: Path, fidelity: str = "", variant: str = "") -> pd.DataFrame:
    """Return the rows of a result folder.

    Args:
        folder: As `focal sim` writes it.
        fidelity: Only rows of this level; empty takes all.
        variant: Only rows of this trace folder; empty takes all.

    Returns:
        Columns of `RESULT_COLUMNS` with ``method`` in place of ``accelerator``. Numbers that a run could not take, such
        as a ratio over dense, are NaN; columns of causes without any number are left out. A row that failed or holds
        a time or energy of zero has a ``status`` that says so.

    Raises:
        TraceError: The folder holds no such table or rows, or a cell is no number.
    """
    rows = [
        row
        for row in read_results(folder)
        if fidelity in ("", row["fidelity"]) and variant in ("", row["variant"])
    ]
    path = folder / RESULTS
    if not rows:
        wanted = "".join(f" of {name}" for name in (fidelity, variant) if name)
        raise TraceError(f"{path}: holds no rows{wanted}, expected at least one")
    frame = pd.DataFrame(rows).rename(columns={"accelerator": "method"})
    status = frame["status"] if "status" in frame.columns else pd.Series(DONE, index=frame.index)
    frame["status"] = status.where(status.str.strip() != "", DONE)
    causes = [name for name in frame.columns if name.endswith(("_cycles", "_energy_mj"))]
    for name in dict.fromkeys((*NUMBER_COLUMNS, *_OPTIONAL, *causes)):
        if name not in frame.columns:
            continue
        numbers = pd.to_numeric(frame[name], errors="coerce")
        wrong = numbers.isna() & (frame["status"] == DONE)
        if name not in NUMBER_COLUMNS:
            wrong &= frame[name].str.strip() != ""
        if wrong.any():
            row = rows[int(wrong.to_numpy().argmax())]
            raise TraceError(
                f"{path}: {name} of {row['model']}/{row['dataset']} on {row['accelerator']} is '{row[name]}', "
                "expected a number"
            )
        frame[name] = numbers
    frame = frame.drop(
        columns=[name for name in causes if frame[name].isna().all() and name not in NUMBER_COLUMNS]
    )
    for name in LABEL_COLUMNS:
        if name not in frame.columns:
            frame[name] = ""
    for name in _POSITIVE:
        is_zero = (frame["status"] == DONE) & ~(frame[name] > 0)
        frame.loc[is_zero, "status"] = f"{name} is zero"
    return frame


def check_frame(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table with a name that is no plain name; see `focal_common.places.check_names`."""
    names = [column for column in NAME_COLUMNS if column in table.columns]
    for number, row in table[names].drop_duplicates().iterrows():
        check_names(dict(zip(names, row, strict=True)), f"{path}, row {int(str(number)) + 1}")


def read_labels(folder: Path, fidelity: str) -> pd.DataFrame:
    """Return the labels that must agree in all rows that claims read: main, INT8 and the published design spaces.

    Raises:
        TraceError: A table is damaged.
    """
    read = (MAIN_FOLDER, INT8_FOLDER)
    rows = [row for row in read_results(folder) if row["fidelity"] == fidelity and row["variant"] in read]
    if fidelity == "parity" and (folder / DESIGN_TABLE).exists():
        rows += read_rows(folder / DESIGN_TABLE, DESIGN_COLUMNS)
    return pd.DataFrame(
        [{name: row.get(name, "") for name in _MUST_AGREE} for row in rows], columns=list(_MUST_AGREE)
    )


def _different_labels(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return what differs, as it is called, with its values."""
    values = {what: sorted(frame[name].dropna().unique()) for name, what in _MUST_AGREE.items()}
    return {what: [value or "(none)" for value in found] for what, found in values.items() if len(found) > 1}


def check_labels(frame: pd.DataFrame, where: str) -> None:
    """Refuse rows of different fidelities, corrections or versions.

    Raises:
        TraceError: What differs, and how to ask for it anyway.
    """
    for what, found in _different_labels(frame).items():
        raise TraceError(
            f"{where}: holds rows of different {what} ({', '.join(found)}), which must not be compared; "
            "allow mixed rows to show them together all the same",
            about=("mixed",),
        )


def mixed_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return a sentence for everything in which rows differ that must not be compared."""
    return tuple(f"MIXED {what}: {', '.join(found)}." for what, found in _different_labels(frame).items())


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a frame that repeat an earlier one."""
    return frame[frame.duplicated(_ROW_KEYS)]


def strangers(frame: pd.DataFrame) -> list[str]:
    """Return the methods with a row whose own run had another dense row than the one that stands beside it."""
    keys = ["model", "dataset", "variant", "fidelity"]
    done = frame[frame["status"] == DONE]
    dense = done.loc[done["method"] == DENSE, [*keys, "seconds", "energy_mj"]].drop_duplicates(keys)
    both = done.merge(dense, on=keys, suffixes=("", "_dense"))
    own = (both["seconds"] * both[SPEEDUP], both["energy_mj"] / both[ENERGY])
    is_other = pd.Series(False, index=both.index)
    for found, beside in zip(own, (both["seconds_dense"], both["energy_mj_dense"]), strict=True):
        # Both come from the same two numbers; nothing but rounding may lie between them.
        is_other |= (found / beside - 1).abs() > 1e-9
    return sorted(both.loc[is_other, "method"].unique())


def check_settings(frame: pd.DataFrame, where: str) -> None:
    """Refuse rows that were run under other settings than the dense row beside them.

    Raises:
        TraceError: Which, and what to do.
    """
    if names := strangers(frame):
        raise TraceError(
            f"{where}: rows of {', '.join(names)} were run with other overrides or cost models than the dense rows; "
            f"run {','.join((DENSE, *names))} in one call of focal sim, or allow mixed rows",
            about=("mixed",),
        )


def check_uniform(frame: pd.DataFrame, where: str) -> None:
    """Refuse rows of different fidelities, corrections or versions, and two rows of one combination.

    Raises:
        TraceError: What differs, and how to ask for it anyway.
    """
    check_labels(frame, where)
    if not (double := repeated(frame)).empty:
        row = double.iloc[0]
        raise TraceError(
            f"{where}: two rows of {row['model']}/{row['dataset']} on {row['method']}, expected one; "
            "give one result folder at a time, or allow mixed rows",
            about=("mixed",),
        )
