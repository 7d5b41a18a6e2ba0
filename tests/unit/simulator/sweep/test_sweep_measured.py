"""Is accuracy measured with the trace, once for each set of method parameters, and never from a bad file?"""

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from focal.studies.measure.provider import MeasuredTraces
from focal_common.errors import ConfigError, TraceError
from focal_common.spreading.engines import ProcessEngine
from focal_simulator.sweep.axes import Axis, Point, Space
from focal_simulator.sweep.providers.base import ProviderContext
from focal_simulator.sweep.run import SweepResult, prepare
from focal_simulator.sweep.store import Chunk
from focal_simulator.sweep.workers import traces_first
from measured_stand_in import StandIn
from sweep_support import measured_study, request_for, run_study


def measurements(log: Path) -> Counter[str]:
    return Counter(line for line in log.read_text(encoding="utf-8").splitlines() if line != "start")


@dataclass(frozen=True)
class Finished:
    """A study of four sets of parameters on two designs, with the words of its stand-in."""

    result: SweepResult
    log: Path
    weights: Path

    @property
    def words(self) -> list[str]:
        return ["--log", str(self.log), "--weights", str(self.weights)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place = tmp_path_factory.mktemp("measured")
    (place / "weights").write_bytes(b"one")
    words = ["--log", str(place / "log"), "--weights", str(place / "weights")]
    result = run_study(measured_study(*words), place / "out" / "a")
    return Finished(result, place / "log", place / "weights")


def test_accuracy_comes_with_the_trace_and_hardware_knobs_measure_nothing_again(finished: Finished) -> None:
    rows = finished.result.rows
    assert [row["status"] for row in rows] == ["ok"] * 8
    assert list(measurements(finished.log).values()) == [1] * 4
    # One model for all of them.
    assert finished.log.read_text(encoding="utf-8").count("start") == 1
    by_method = {(row["schedule"], row["method.similarity_threshold"]): row["accuracy"] for row in rows}
    assert by_method["none", 1.0] > by_method["early", 1.0] > by_method["early", 0.8]
    for row in rows:
        assert row["accuracy"] == by_method[row["schedule"], row["method.similarity_threshold"]]
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


def test_answers_of_every_set_are_kept_beside_the_results(finished: Finished) -> None:
    answers = pq.read_table(finished.result.folder.path / "answers.parquet").to_pandas()
    keys = ["method.selected_layers", "method.alpha_list", "method.similarity_threshold"]
    shares = answers.groupby(keys)["right"].agg(["mean", "size"])
    assert len(shares) == 4
    assert set(shares["size"]) == {200}
    rows = pq.read_table(finished.result.folder.results).to_pandas()
    joined = rows.merge(shares.reset_index(), on=keys, how="left")
    assert (100 * joined["mean"]).tolist() == pytest.approx(rows["accuracy"].tolist())


def provider_of(finished: Finished, cache: Path, *words: str) -> MeasuredTraces:
    study = measured_study(*finished.words, *words)
    return StandIn(ProviderContext(None, "focus_main", (), study.traces.options, cache))


def test_changed_weights_are_measured_again_and_do_not_continue_a_study(
    finished: Finished, tmp_path: Path
) -> None:
    log, weights = tmp_path / "log", tmp_path / "weights"
    own = replace(finished, log=log, weights=weights)
    parameters = {"similarity_threshold": 0.8}
    hashes = []
    for content in (b"one", b"two", b"one"):
        weights.write_bytes(content)
        provider = provider_of(own, tmp_path / "cache")
        provider.traced(parameters)
        hashes.append(provider.fingerprint())
    assert hashes[0] == hashes[2] != hashes[1]
    assert list(measurements(log).values()) == [2]
    # The same content elsewhere is the same model: places of files decide nothing.
    before = finished.weights.read_bytes()
    finished.weights.write_bytes(b"two")
    try:
        with pytest.raises(ConfigError, match="traces_sha256"):
            run_study(measured_study(*finished.words), finished.result.folder.path)
    finally:
        finished.weights.write_bytes(before)


def test_metrics_that_are_no_numbers_are_not_kept(finished: Finished, tmp_path: Path) -> None:
    provider = provider_of(replace(finished, log=tmp_path / "log"), tmp_path / "cache", "--spoil")
    with pytest.raises(TraceError, match=r"metrics\.accuracy is None, expected a finite number") as error:
        provider.traced({"similarity_threshold": 0.9})
    assert str(tmp_path) not in str(error.value)
    assert not [place for place in (tmp_path / "cache").iterdir() if place.is_dir()]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "left no such file"),
        ("{", "measured.json: not JSON as expected"),
        ("[]", "expected a JSON object, got list"),
        ('{"metrics": 3}', "expected an object 'metrics'"),
        ('{"metrics": {"accuracy": "high"}}', "metrics.accuracy is 'high', expected a finite number"),
        ('{"metrics": {"accuracy": NaN}}', "'metrics.accuracy' is nan, expected a finite number"),
        ('{"metrics": {}}', "metrics.accuracy is None"),
    ],
)
def test_a_damaged_measurement_is_one_sentence(
    content: str | None, message: str, finished: Finished, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(finished.result.plan.cache, cache)
    for kept in cache.glob("*/measured.json"):
        kept.unlink()
        if content is not None:
            kept.write_text(content, encoding="utf-8")
    parameters = {"selected_layers": [], "alpha_list": [], "similarity_threshold": 0.8}
    with pytest.raises(TraceError) as error:
        provider_of(finished, cache).traced(parameters)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_refused_parameter_is_a_failed_row_and_the_model_stays_loaded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    axes = [{"field": "method.similarity_threshold", "values": [1.5, 0.9, 0.8]}]
    result = run_study(measured_study("--log", str(log), axes=axes), tmp_path / "out" / "a")
    assert [row["status"] for row in result.rows] == ["failed", "ok", "ok"]
    assert (
        result.rows[0]["reason"] == "the measurement failed: similarity_threshold must lie in (0, 1], got 1.5"
    )
    assert log.read_text(encoding="utf-8").count("start") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "shapes_vide"], "unknown model 'shapes_vide'.*did you mean 'shapes_video'"),
        (
            ["--questions", "many"],
            "traces.options.arguments: argument --questions: invalid int value: 'many'",
        ),
        (["--question", "4"], "unknown word '--question'; did you mean '--questions'"),
        (["--set", "block_size"], "expected field=value"),
    ],
)
def test_words_that_say_no_measurement_are_refused_before_anything_runs(
    words: list[str], message: str, tmp_path: Path
) -> None:
    study = measured_study()
    changes = {"provider": "measure", "options": {"arguments": words}}
    traces = study.traces.model_copy(update=changes)
    with pytest.raises(ConfigError, match=message):
        prepare(request_for(study.model_copy(update={"traces": traces}), tmp_path / "out" / "a"))
    assert not (tmp_path / "out" / "a").exists()


def test_parameters_that_all_points_share_are_part_of_what_was_measured(tmp_path: Path) -> None:
    def sha256(*words: str) -> str:
        options = {"arguments": ["--model", "llava_onevision", *words]}
        return MeasuredTraces(ProviderContext(None, "focus_main", (), options, tmp_path)).fingerprint()

    assert sha256("--set", "block_size=1") != sha256() == sha256("--threads", "2")


def test_parameters_that_the_measurer_names_are_checked_before_anything_runs(tmp_path: Path) -> None:
    axes = [{"field": "method.similarity_treshold", "values": [0.9]}]
    with pytest.raises(ConfigError, match="unknown method parameter 'similarity_treshold'; did you mean"):
        prepare(request_for(measured_study("--names", axes=axes), tmp_path / "out" / "a"))
    assert not (tmp_path / "out" / "a").exists()
    # Names decide nothing: what was measured before they were printed still holds.
    good = [{"field": "method.similarity_threshold", "values": [0.9]}]
    named, silent = (
        prepare(request_for(measured_study(axes=good), tmp_path / "out" / "a"))[0],
        prepare(request_for(measured_study("--names", axes=good), tmp_path / "out" / "a"))[0],
    )
    assert named.traces_sha256 == silent.traces_sha256


def test_a_schedule_with_decreasing_layers_is_refused_in_one_sentence(tmp_path: Path) -> None:
    choices = [{"label": "x", "set": {"method.selected_layers": [4, 2], "method.alpha_list": [0.4, 0.2]}}]
    study = measured_study(axes=[{"name": "schedule", "choices": choices}])
    with pytest.raises(ConfigError) as error:
        prepare(request_for(study, tmp_path / "out" / "a"))
    assert str(error.value) == "method.selected_layers must ascend, got [4, 2]"


def test_two_processes_give_the_rows_of_one_and_measure_nothing_twice(
    finished: Finished, tmp_path: Path
) -> None:
    study = measured_study(*finished.words)
    before = measurements(finished.log)
    one = finished.result.folder
    two = run_study(study, tmp_path / "two" / "a", engine=ProcessEngine(2)).folder
    for name in ("answers.parquet", "results.parquet", "study.json"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
    assert measurements(finished.log) - before == before


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 5))
def test_chunks_with_new_traces_go_first_and_none_is_lost(methods: list[int], size: int) -> None:
    axes = tuple(
        Axis.model_validate(axis)
        for axis in (
            {"field": "method.m_tile", "values": list(range(6))},
            {"field": "core.scatter_vectors", "values": list(range(40))},
        )
    )
    space = Space(axes, {"method.m_tile": None, "core.scatter_vectors": 2})
    points = [Point(place, (method, place)) for place, method in enumerate(methods)]
    chunks = [Chunk(str(start), tuple(points[start : start + size])) for start in range(0, len(points), size)]
    ordered = traces_first(space, chunks)
    assert sorted(map(id, ordered)) == sorted(map(id, chunks))
    new = [
        bool(
            {point.choices[0] for point in chunk.points}
            - {p.choices[0] for c in ordered[:place] for p in c.points}
        )
        for place, chunk in enumerate(ordered)
    ]
    assert new == sorted(new, reverse=True)
