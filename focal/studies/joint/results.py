"""The files of the joint study of method and hardware, as its page and its picture need them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from focal_common.commit import verify_file
from focal_common.errors import ConfigError
from focal_common.reading.parquet_files import read_sealed
from focal_common.statistics import Comparison, compared
from focal_simulator.sweep.pareto import Front
from focal_simulator.sweep.study import Objective

PUBLISHED, DENSE = "published", "dense"
"""Labels of the axis ``method``: the published parameters, and no compression."""

HARDWARE_AXES = {"weights": "single", "core.scatter_vectors": 2, "tiles.n_tile": 96}
"""Axes of the hardware beside those bound to the method, and the published design."""

_NEEDED = ("method", "accuracy", "accuracy_low", "accuracy_high", "questions", "edp_mj_s", "status")
_OBJECTIVES = (Objective(metric="accuracy", goal="maximize"), Objective(metric="edp_mj_s"))


@dataclass(frozen=True)
class JointStudy:
    """A finished study.

    Attributes:
        rows: Every point.
        answers: One row per question and set of method parameters; empty if none were kept.
        array: The uncompressed model on the dense array; None if that study was not given.
    """

    rows: pd.DataFrame
    answers: pd.DataFrame
    array: pd.Series[Any] | None

    @cached_property
    def feasible(self) -> pd.DataFrame:
        """Finished points within all limits."""
        return self.rows[self.rows["status"] == "ok"].reset_index(drop=True)

    @cached_property
    def front(self) -> pd.DataFrame:
        """Points that no other beats in accuracy and energy-delay at once, the most accurate first."""
        found = Front(self.feasible.to_dict("records"), _OBJECTIVES)  # type: ignore[arg-type]
        unique = {(row["accuracy"], row["edp_mj_s"]): row for row in reversed(found.rows)}
        return pd.DataFrame(list(unique.values())[::-1]).reset_index(drop=True)

    def design(self, method: str) -> pd.Series[Any]:
        """Return a method on the published hardware.

        Raises:
            ConfigError: The study does not hold it.
        """
        rows = self.feasible[self.feasible["method"] == method]
        for axis, value in HARDWARE_AXES.items():
            rows = rows[rows[axis].astype(str) == str(value)]
        if rows.empty:
            raise ConfigError(
                f"the study joint_focus does not hold the finished method '{method}' on published hardware"
            )
        return rows.iloc[0]

    def compared(self, first: pd.Series[Any], second: pd.Series[Any]) -> Comparison | None:
        """Compare the answers of two points; None where answers were not kept."""
        ours, theirs = self._answers_of(first), self._answers_of(second)
        if ours.empty or theirs.empty:
            return None
        if list(ours["picture"]) != list(theirs["picture"]):
            raise ConfigError("answers.parquet: two methods were asked different questions")
        return compared(ours["right"].tolist(), theirs["right"].tolist(), ours["picture"].tolist())

    def _answers_of(self, row: pd.Series[Any]) -> pd.DataFrame:
        found = self.answers
        for name in (one for one in found.columns if str(one).startswith("method.")):
            found = found[found[name] == row[name]]
        return found


def read_joint_study(folder: Path, dense: Path | None) -> JointStudy:
    """Read the folder of the study ``joint_focus``, and that of ``joint_focus_dense`` if there is one.

    Raises:
        ConfigError: A file is missing, damaged, or not of such a study.
    """
    rows = _table(folder / "results.parquet")
    missing = {*_NEEDED, *HARDWARE_AXES} - set(rows.columns)
    if missing:
        raise ConfigError(
            f"{folder / 'results.parquet'}: has no column '{sorted(missing)[0]}', expected rows of joint_focus"
        )
    path = folder / "answers.parquet"
    answers = _table(path) if path.is_file() else pd.DataFrame()
    array = None
    if dense is not None:
        finished = _table(dense / "results.parquet")
        finished = finished[finished["status"] == "ok"]
        if finished.empty:
            raise ConfigError(f"{dense / 'results.parquet'}: holds no finished point")
        array = finished.iloc[0]
    study = JointStudy(rows, answers, array)
    if study.feasible.empty:
        raise ConfigError(f"{folder / 'results.parquet'}: holds no finished point")
    return study


def _table(path: Path) -> pd.DataFrame:
    verify_file(path)
    return read_sealed(path, ConfigError, "sweep again").to_pandas()
