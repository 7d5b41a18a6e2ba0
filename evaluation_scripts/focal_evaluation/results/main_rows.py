"""Reads result tables into one frame, and refuses what must not stand side by side."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from focal_common.errors import TraceError
from focal_common.places import NAME_COLUMNS, check_names
from focal_simulator.results.ratios import DENSE, ENERGY, SPEEDUP

__all__ = [
    "DONE",
    "PREFIXES",
    "ROW_KEYS",
    "check_frame",
    "check_labels",
    "check_settings",
    "check_uniform",
    "mixed_notes",
    "prefixes",
    "read_labels",
    "read_tables",
    "strangers",
    "tables_of",
]

DONE = "ok"

_NUMBERS = {
    "execution_time": "seconds",
    "total_cycles": "cycles",
    "total_energy": "energy_mj",
    "core_energy": "core_mj",
    "sram_energy": "buffer_mj",
    "dram_energy": "dram_mj",
    "total_dram_access": "dram_bytes",
    "total_activation": "activation_bytes",
    "num_ops": "macs",
    "dense_ops": "dense_macs",
}
"""Published column to ours, with the unit in the name."""

_RATIOS = (SPEEDUP, ENERGY)
_LABELS = ("variant", "fidelity", "origin", "focal_version")
_POSITIVE = ("seconds", "energy_mj")

PREFIXES = {"parity": "", "cycle": "cycle_"}
"""Start of the result files of each fidelity."""


def prefixes(folder: Path, stem: str = "main") -> dict[str, str]:
    """Return the fidelities of which a folder holds result tables, with the start of their names."""
    return {name: start for name, start in PREFIXES.items() if tables_of(folder, f"{start}{stem}")}


def tables_of(folder: Path, stem: str) -> list[Path]:
    """Return the result tables of a folder whose names start with ``stem_``, by name."""
    return sorted(folder.glob(f"{stem}_*.csv"))


def read_tables(paths: list[Path]) -> pd.DataFrame:
    """Return the rows of result tables, one accelerator each.

    Args:
        paths: Tables as `focal sim` writes them.

    Returns:
        Columns ``model, dataset, method``, the numbers with units in their names, both ratios over dense (NaN where
        the run could not take them), every ``*_cycles`` cause,
        ``corrections`` (empty outside fidelity cycle), ``status`` and the labels of the row. A row that failed or
        holds a time or energy of zero has a status that says so.

    Raises:
        TraceError: A file is no such table, holds no rows, or a cell is no number.
    """
    frames = [_read(path) for path in paths]
    if not frames:
        raise TraceError("no result table was given, expected at least one")
    return pd.concat(frames, ignore_index=True)


def _text_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise TraceError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        # ValueError includes the parser's own errors, and a file without any column.
        raise TraceError(f"{path}: not a CSV table ({' '.join(str(error).split())})") from error


def _read(path: Path) -> pd.DataFrame:
    table = _text_table(path)
    expected = ("model", "dataset", "accelerator", *_NUMBERS, *_RATIOS, *_LABELS)
    if missing := [name for name in expected if name not in table.columns]:
        raise TraceError(
            f"{path}: column '{missing[0]}' is missing, expected a table of this version of focal sim; simulate again"
        )
    if table.empty:
        raise TraceError(f"{path}: holds no rows, expected at least one")
    check_frame(table, path)
    status = table["status"] if "status" in table.columns else pd.Series(DONE, index=table.index)
    frame = pd.DataFrame(
        {
            "model": table["model"],
            "dataset": table["dataset"],
            "method": table["accelerator"],
            "status": status.where(status.str.strip() != "", DONE),
        }
    )
    causes = {name: name for name in table.columns if name.endswith("_cycles") and name not in _NUMBERS}
    for column, ours in {**_NUMBERS, **causes}.items():
        frame[ours] = _numbers(table[column], frame["status"], f"{path}: {column}")
    for name in _RATIOS:
        # Empty where the dense array could not be run.
        is_given = table[name].str.strip() != ""
        status = frame["status"].where(is_given, "no ratio")
        frame[name] = _numbers(table[name], status, f"{path}: {name}")
    for name in _LABELS:
        frame[name] = table[name]
    frame["corrections"] = table["corrections"] if "corrections" in table.columns else ""
    frame["file"] = path.name
    for name in _POSITIVE:
        is_zero = (frame["status"] == DONE) & ~(frame[name] > 0)
        frame.loc[is_zero, "status"] = f"{name} is zero"
    return frame


def check_frame(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table with a name that is no plain name; see `focal_common.places.check_names`."""
    names = [column for column in NAME_COLUMNS if column in table.columns]
    for place, row in table[names].drop_duplicates().iterrows():
        check_names(dict(zip(names, row, strict=True)), f"{path}, row {int(str(place)) + 1}")


def _numbers(cells: pd.Series, status: pd.Series, where: str) -> pd.Series:
    numbers = pd.to_numeric(cells, errors="coerce")
    wrong = numbers.isna() & (status == DONE)
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        raise TraceError(f"{where}: row {place + 2} holds '{cells.iloc[place]}', expected a number")
    return numbers


ROW_KEYS = ("model", "dataset", "method", "variant")
"""Columns that tell one result row from another."""

_MUST_AGREE = {"fidelity": "fidelities", "corrections": "corrections", "focal_version": "versions of Focal"}
"""Label and what several of it are called."""


def read_labels(folder: Path, prefix: str) -> pd.DataFrame:
    """Return what must agree in all result files of a folder: main, INT8 and sweeps.

    Args:
        folder: Result folder.
        prefix: Start of the names of the files; sweeps have none.

    Returns:
        One row per result row with columns ``file`` and the labels, absent where a file does not state one; files
        without a version are left out.

    Raises:
        TraceError: A file is no CSV table.
    """
    stems = [f"{prefix}main", f"{prefix}int8", *(["dse"] if not prefix else [])]
    frames = [pd.DataFrame({"file": [], **{name: [] for name in _MUST_AGREE}}, dtype=str)]
    for path in [path for stem in stems for path in tables_of(folder, stem)]:
        table = _text_table(path)
        if "focal_version" not in table.columns:
            continue
        labels = {name: table[name] if name in table.columns else None for name in _MUST_AGREE}
        frames.append(pd.DataFrame({"file": path.name, **labels}, index=table.index))
    return pd.concat(frames, ignore_index=True)


def _found_labels(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return what differs, as it is called, with its values."""
    values = {what: sorted(frame[name].dropna().unique()) for name, what in _MUST_AGREE.items()}
    return {what: [value or "(none)" for value in found] for what, found in values.items() if len(found) > 1}


def check_labels(frame: pd.DataFrame, where: str) -> None:
    """Refuse rows of different fidelities, corrections or versions.

    Raises:
        TraceError: What differs, and how to ask for it anyway.
    """
    for what, found in _found_labels(frame).items():
        raise TraceError(
            f"{where}: holds rows of different {what} ({', '.join(found)}), which must not be compared; "
            "allow mixed rows to show them together all the same",
            about=("mixed",),
        )


def mixed_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return a sentence for everything in which rows differ that must not be compared."""
    return tuple(f"MIXED {what}: {', '.join(found)}." for what, found in _found_labels(frame).items())


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
    double = frame[frame.duplicated(list(ROW_KEYS))]
    if not double.empty:
        row = double.iloc[0]
        raise TraceError(
            f"{where}: two rows of {row['model']}/{row['dataset']} on {row['method']}, expected one; "
            "give one result folder at a time, or allow mixed rows",
            about=("mixed",),
        )
