"""Does one run give accuracy and trace of the same prefills, and is it known by all that decides it?"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from focal.commands.measure import app
from focal.commands.running import run_command
from focal.studies.measure.settings import MeasureSettings
from focal_common.errors import ConfigError
from focal_traces.root.root import TraceRoot


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOCAL_CACHE", str(tmp_path_factory.mktemp("data")))
        yield


def checkpoint(folder: Path, content: bytes) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(content)
    return folder


def test_the_identity_follows_content_and_not_places(tmp_path: Path) -> None:
    here, there = checkpoint(tmp_path / "here", b"weights"), checkpoint(tmp_path / "there", b"weights")
    first = MeasureSettings(model=str(here)).identity()
    assert MeasureSettings(model=str(there), threads=2).identity() == first
    assert MeasureSettings(model=str(here), questions=401).identity() != first
    assert MeasureSettings(model=str(here), method="dense").identity() != first
    (there / "model.safetensors").write_bytes(b"trained further")
    assert MeasureSettings(model=str(there)).identity() != first


def test_the_identity_is_printed_with_the_parameters_of_the_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = checkpoint(tmp_path / "here", b"weights")
    assert run_command(app, ["--model", str(place), "--identity"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == MeasureSettings(model=str(place)).identity()
    assert {"similarity_threshold", "m_tile"} < set(json.loads(second)["parameters"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "llava_onevison"}, "did you mean 'llava_onevision'"),
        ({"method": "focux"}, "did you mean 'focus'"),
        ({"task": "shapes-vide"}, "did you mean 'shapes-video'"),
        ({"split": "tests"}, "did you mean 'test'"),
        ({"questions": 0}, "questions must be at least 1, got 0"),
        ({"samples": 5, "questions": 4}, "samples must be at most the number of questions, 4, got 5"),
    ],
)
def test_wrong_settings_are_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        MeasureSettings(**{"model": "llava_onevision", **changes})
    assert message in str(error.value)


def test_traced_questions_lie_evenly_from_the_first() -> None:
    pytest.importorskip("transformers")
    from focal.studies.measure.session import traced_numbers

    assert traced_numbers(400, 4) == [0, 100, 200, 300]
    for questions in range(1, 30):
        for samples in range(1, questions + 1):
            places = traced_numbers(questions, samples)
            assert len(set(places)) == samples
            assert places[0] == 0
            assert places[-1] < questions


def test_one_run_gives_accuracy_answers_and_trace(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from focal.studies.measure.session import Session

    settings = MeasureSettings(
        model="llava", size="tiny", task="shapes-pope", questions=6, samples=2, threads=1
    )
    session = Session(settings)
    parameters = {"similarity_threshold": 0.8}
    metrics = session.measure(parameters, tmp_path / "a")
    with (tmp_path / "a" / "answers.csv").open(encoding="utf-8", newline="") as source:
        answers = list(csv.DictReader(source))
    assert len(answers) == 6
    assert metrics["accuracy"] == pytest.approx(100 * sum(int(one["right"]) for one in answers) / 6)
    written = json.loads((tmp_path / "a" / "measured.json").read_text(encoding="utf-8"))
    assert written["metrics"] == metrics
    assert written["identity"] == settings.identity()
    root = TraceRoot.open(tmp_path / "a")
    ((model, dataset),) = root.workloads
    trace = root.open_trace(model, dataset, "focus_main")
    assert trace.header.parameters["similarity_threshold"] == 0.8
    assert len(trace.samples) == 2
    # Measured again after another method: nothing of it is left behind.
    session.measure({"similarity_threshold": 1.0, "selected_layers": [], "alpha_list": []}, tmp_path / "b")
    assert session.measure(parameters, tmp_path / "c") == metrics
    for name in ("measured.json", "answers.csv", "meta_data.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()


def test_more_questions_than_there_are_is_refused() -> None:
    pytest.importorskip("transformers")
    from focal.studies.measure.session import Session

    with pytest.raises(ConfigError, match="expected no more; got"):
        Session(MeasureSettings(model="llava", size="tiny", task="shapes-pope", questions=100_000))
