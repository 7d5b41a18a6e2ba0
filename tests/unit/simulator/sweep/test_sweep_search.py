"""Does a search follow from its seed alone, keep to its limits, and find the front of a known grid?"""

import json
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest

from focal_common.errors import ConfigError, RunError
from focal_common.spreading.engines import ProcessEngine
from focal_simulator.sweep.pareto import hypervolume, losses, non_dominated
from focal_simulator.sweep.rows import Row
from focal_simulator.sweep.run import SweepResult, prepare
from focal_simulator.sweep.search import search
from focal_simulator.sweep.study import Study, read_study
from sweep_support import grid_study, request_for, run_study


def search_study(**sampling: object) -> Study:
    settings = {"points": 18, "batch": 6, "seed": 1} | sampling
    return grid_study(kind="search", sampling=settings, constraints=[{"metric": "area_mm2", "at_most": 3.6}])


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_a_search_that_was_stopped_proposes_the_same_points_again(sampler: str, tmp_path: Path) -> None:
    study = search_study(sampler=sampler)
    whole = run_study(study, tmp_path / "whole")
    assert 6 < len(whole.rows) <= 18
    assert whole.counts["infeasible"] > 0

    class Stop(BaseException):
        pass

    def stop(chunks: object, total: int) -> object:
        for number, chunk in enumerate(chunks):  # type: ignore[arg-type]
            if number == 2:
                raise Stop
            yield chunk

    with pytest.raises(Stop):
        run_study(study, tmp_path / "stopped", progress=stop)
    again = run_study(study, tmp_path / "stopped")
    assert 0 < again.evaluated < len(whole.rows)
    assert again.rows == whole.rows


def test_the_storage_is_one_that_optuna_reads(tmp_path: Path) -> None:
    import optuna

    for storage in ("sqlite", "journal"):
        result = run_study(search_study(storage=storage), tmp_path / storage)
        opened = (
            optuna.storages.RDBStorage(f"sqlite:///{tmp_path / storage / 'optuna.db'}")
            if storage == "sqlite"
            else optuna.storages.JournalStorage(
                optuna.storages.journal.JournalFileBackend(str(tmp_path / storage / "optuna.journal"))
            )
        )
        (summary,) = optuna.get_all_study_summaries(opened)
        study = optuna.load_study(study_name=summary.study_name, storage=opened)
        assert len(study.trials) == 18
        assert {trial.user_attrs["point"] for trial in study.trials} == {row["index"] for row in result.rows}


def test_a_locked_storage_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    database = tmp_path / "locked.db"
    with sqlite3.connect(database, isolation_level=None) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RunError, match="the search storage is locked, read-only or out of reach"):
            run_study(search_study(storage=f"sqlite:///{database}?timeout=0.1"), tmp_path / "out")
    with pytest.raises(RunError, match="locked, read-only or out of reach"):
        run_study(search_study(storage="sqlite:////proc/none.db"), tmp_path / "out2")


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        (
            "postgresql://someone:secret@127.0.0.1:1/x",
            "needs the package 'psycopg.*', which is not installed",
        ),
        ("nosuchbase://someone:secret@host/x", "not usable .*expected sqlite or journal, or the URL"),
    ],
)
def test_a_storage_that_cannot_be_used_is_refused_before_anything_is_written(
    storage: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=message) as error:
        prepare(request_for(search_study(storage=storage), tmp_path / "out"))
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_mistyped_storage_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown storage 'sqlit'; did you mean 'sqlite'"):
        search_study(storage="sqlit")


def test_another_storage_goes_on_with_the_same_study(tmp_path: Path) -> None:
    first = run_study(search_study(), tmp_path / "out")
    again = run_study(search_study(storage="journal"), tmp_path / "out")
    assert again.evaluated == 0
    assert again.plan.sha256 == first.plan.sha256
    assert "secret" not in json.dumps(
        prepare(request_for(search_study(storage="sqlite://someone:secret@/x"), tmp_path / "two"))[0].record()
    )


class KnownGrid:
    """The finished grid of `focus_hardware_grid`, whose front a search should find."""

    def __init__(self, result: SweepResult) -> None:
        self.study, self.space = result.plan.study, result.plan.space
        self.rows = result.rows
        fields = list(self.space.base)
        self._by_settings = {
            json.dumps({name: row[name] for name in fields}, sort_keys=True): row for row in result.rows
        }
        values = losses(result.feasible, self.study.objectives)
        # The nadir of the true front, not the worst point: below that even a poor sample covers nearly everything.
        self._reference = values[non_dominated(values)].max(axis=0)
        self._whole = hypervolume(values, self._reference)

    @property
    def budget(self) -> int:
        """5 % of the points."""
        return len(self.rows) // 20

    def share(self, rows: list[Row]) -> float:
        """Share of the grid's hypervolume that some of its rows reach."""
        feasible = [row for row in rows if row["status"] == "ok"]
        return hypervolume(losses(feasible, self.study.objectives), self._reference) / self._whole

    def searched(self, seed: int, folder: Path) -> list[Row]:
        """Rows of a search with the default sampler; nothing is simulated again."""
        sampling = {"points": self.budget, "batch": 15, "seed": seed}
        searched = Study.model_validate(self.study.model_dump() | {"kind": "search", "sampling": sampling})
        plan, _ = prepare(request_for(searched, folder / "none"))
        seen: list[Row] = []

        def evaluate(number: int, proposed: list[tuple[int, ...]]) -> list[Row]:
            settings = [self.space.settings(one) for one in proposed]
            found = [self._by_settings[json.dumps(one, sort_keys=True)] for one in settings]
            seen.extend(found)
            return found

        search(plan, folder, evaluate)
        return seen

    def drawn(self, seed: int) -> list[Row]:
        """As many different rows at random."""
        places = np.random.default_rng(seed).choice(len(self.rows), self.budget, replace=False)
        return [self.rows[place] for place in places]


@pytest.mark.slow
def test_a_search_with_5_percent_of_the_points_reaches_95_percent_of_the_hypervolume_and_beats_chance(
    tmp_path: Path,
) -> None:
    study, _ = read_study("focus_hardware_grid")
    grid = KnownGrid(run_study(study, tmp_path / "grid", engine=ProcessEngine(2)))
    searches = [grid.share(grid.searched(seed, tmp_path)) for seed in range(6)]
    draws = [grid.share(grid.drawn(seed)) for seed in range(20)]
    assert min(searches) >= 0.95
    # Chance alone comes close on this grid, so what counts is what is left to the whole.
    assert 1 - np.mean(searches) < 0.7 * (1 - np.mean(draws))
    assert np.median(searches) > max(draws)
