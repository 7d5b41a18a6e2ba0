"""What method and hardware together bring: the table and the picture behind docs/joint_study.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from focal.studies.joint.figure import draw
from focal.studies.joint.results import DENSE, HARDWARE_AXES, PUBLISHED, JointStudy, read_joint_study
from focal_common.files import atomic_write_text
from focal_common.statistics import Comparison, holm
from focal_evaluation.exhibits.make import csv_text

_LEVEL = 0.05
_SHOWN = (
    "method",
    *HARDWARE_AXES,
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "kept_tokens",
    "edp_mj_s",
    "area_mm2",
)
_FRONT = "front"


def joint_table(study: JointStudy) -> pd.DataFrame:
    """Return the designs of interest, one a row.

    Column ``role`` is ``dense array`` (only if that study was given), ``dense``, ``published`` (both on the published
    hardware), ``front`` (no other design is better in accuracy and energy-delay), or ``best: ...``: the least
    energy-delay at no lower accuracy than the published parameters, among the ``designs`` of that search. Then the
    design; ``accuracy`` in percent with its 95 % interval; ``edp_mj_s``; ``edp_gain`` over the published design, as a
    factor; and of front points, against ``dense`` and ``published``: the difference of accuracy in points with its
    95 % interval (``*_difference, *_low, *_high``), McNemar's p-value after Holm's correction over all comparisons of
    the table, and ``better`` or ``worse`` where interval and test agree, else ``not told apart``; empty where the two
    are one set of answers, or answers were not kept.
    """
    base = study.design(PUBLISHED)
    named = [(DENSE, study.design(DENSE)), (PUBLISHED, base)]
    if study.array is not None:
        named.insert(0, ("dense array", study.array))
    rows = [{"role": role, **_design(row)} for role, row in named]
    for (_, row), verdicts in zip(study.front.iterrows(), _comparisons(study), strict=True):
        rows.append({"role": _FRONT, **_design(row), **verdicts})
    rows += [{"role": f"best: {name}", **found} for name, found in _searches(study).items()]
    table = pd.DataFrame(rows)
    table.insert(list(table.columns).index("edp_mj_s") + 1, "edp_gain", base["edp_mj_s"] / table["edp_mj_s"])
    return table


def write_joint(folder: Path, dense: Path | None, output: Path) -> list[Path]:
    """Write ``joint_study.csv`` and ``accuracy_energy_delay.png`` into a folder; equal studies give equal bytes.

    Args:
        folder: Of the study ``joint_focus``.
        dense: Of the study ``joint_focus_dense``, if there is one.
        output: Folder.

    Raises:
        ConfigError: A folder holds no such study; see `read_joint_study`.
    """
    study = read_joint_study(folder, dense)
    table = joint_table(study)
    path = output / "joint_study.csv"
    atomic_write_text(path, csv_text(table))
    front = table[table["role"] == _FRONT]
    is_better = front.get(f"{PUBLISHED}_verdict", pd.Series("", index=front.index)) == "better"
    return [path, *draw(study, is_better.tolist(), output / "accuracy_energy_delay")]


def _design(row: pd.Series[Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in _SHOWN}


def _comparisons(study: JointStudy) -> list[dict[str, Any]]:
    """Return, by front point, its accuracy less that of the uncompressed and of the published method."""
    others = {name: study.design(name) for name in (DENSE, PUBLISHED)}
    pairs: dict[tuple[str, str], Comparison] = {}
    for _, row in study.front.iterrows():
        for name, other in others.items():
            key = (_method_key(row), name)
            # A set of answers with itself is no comparison.
            if key not in pairs and _method_key(other) != key[0]:
                found = study.compared(row, other)
                if found is not None:
                    pairs[key] = found
    p_values = [1.0 if pair.p_value is None else pair.p_value for pair in pairs.values()]
    adjusted = dict(zip(pairs, holm(p_values), strict=True))
    return [
        {
            f"{name}_{column}": value
            for name in others
            if (key := (_method_key(row), name)) in pairs
            for column, value in _compared(pairs[key], adjusted[key]).items()
        }
        for _, row in study.front.iterrows()
    ]


def _compared(pair: Comparison, p_value: float) -> dict[str, Any]:
    verdict = "not told apart"
    if p_value < _LEVEL and (pair.low > 0 or pair.high < 0):
        verdict = "better" if pair.low > 0 else "worse"
    points = {"difference": pair.difference, "low": pair.low, "high": pair.high}
    return {**{name: 100 * value for name, value in points.items()}, "p_value": p_value, "verdict": verdict}


def _searches(study: JointStudy) -> dict[str, dict[str, Any]]:
    """Return what searching hardware, method or both finds, and among how many designs."""
    base, rows = study.design(PUBLISHED), study.feasible
    is_published = pd.Series(True, index=rows.index)
    for axis, value in HARDWARE_AXES.items():
        is_published &= rows[axis].astype(str) == str(value)
    searched = {
        "hardware": rows[rows["method"] == PUBLISHED],
        "method": rows[is_published],
        "both": rows,
    }
    found = {}
    for name, own in searched.items():
        kept = own[own["accuracy"] >= base["accuracy"]]
        found[name] = {**_design(kept.loc[kept["edp_mj_s"].idxmin()]), "designs": len(own)}
    return found


def _method_key(row: pd.Series[Any]) -> str:
    return " ".join(str(row[name]) for name in row.index if str(name).startswith("method."))
