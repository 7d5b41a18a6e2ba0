"""Is a name that leads elsewhere refused with exit code 2 before anything is touched, whichever file it stands in?"""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import zipfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

import focal.commands.matrix as matrix_cli
import focal.commands.sim as sim_cli
import focal.commands.sweep as sweep_cli
import focal.commands.trace as trace_cli
from focal.commands.running import run_command
from focal.studies.arena.figure import read_arena
from focal.studies.arena.plan import ModelFolder
from focal.studies.measure.provider import MeasuredTraces
from focal.studies.measure.settings import ANSWERS
from focal_algorithm.evaluation.lmms.engine import _own_index
from focal_algorithm.evaluation.lmms.run_files import ACCURACY_COLUMNS, upsert_rows
from focal_algorithm.models.weights import check_weights
from focal_common.commit import sealed_text
from focal_common.errors import FocalError
from focal_common.places import MARKER
from focal_evaluation.claims.published import read_accuracies, read_gpu_runs
from focal_evaluation.claims.result_rows import read_published_rows
from focal_evaluation.report.runs import read_runs
from focal_evaluation.results.result_frame import read_frame
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.presets import build_accelerator, hardware_tree
from focal_simulator.calibration.cases import read_cases
from focal_simulator.results.rows import RUN_KEY, merge_table
from focal_simulator.sweep.providers.base import TraceCache
from focal_traces.frames.file import read_frames, write_frames
from focal_traces.frames.frames import FramesTrace, KeptPicture, SampleFrames
from focal_traces.header.text import header_to_text, text_to_header
from focal_traces.synthetic.calibrated import read_recipe
from simulator_support import PUBLISHED_ROOT
from sweep_support import study_text
from traces_support import tiny_trace

AWAY = ("../../../../../../../victim", "..", "{absolute}", "x/../../../victim", "a\\..\\b", "a\nb", "=1+1")
"""What stands in place of a name. The first leads from a row of a matrix in ``a/b/out`` to a folder that exists, and
``{absolute}`` is its path."""

Tree = dict[str, Any]
Way = tuple[str | int, ...]


@pytest.fixture(params=AWAY)
def away(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    victim = tmp_path / "victim"
    (victim / "proj" / "samples").mkdir(parents=True)
    (victim / "proj" / "samples" / "precious.txt").write_text("x")
    (victim / "proj" / "row.json").write_text("{}")
    return str(request.param).replace("{absolute}", str(victim))


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def put(tree: Tree, way: Way, name: str) -> Tree:
    """The same tree with a name at the end of the way; after '@' it renames a key."""
    changed = deepcopy(tree)
    node: Any = changed
    for step in way[:-1]:
        node = node[step]
    last = way[-1]
    if isinstance(last, str) and last.startswith("@"):
        node[name] = node.pop(last[1:])
    else:
        node[last] = name
    return changed


def dumped(path: Path, tree: Tree) -> Path:
    with path.open("w", encoding="utf-8") as target:
        YAML(typ="safe", pure=True).dump(tree, target)
    return path


def refused(
    command: Callable[[], int], folder: Path, name: str, file: Path | str, capsys: pytest.CaptureFixture[str]
) -> str:
    before = contents(folder)
    capsys.readouterr()
    assert command() == 2
    sentence = " ".join(capsys.readouterr().err.split())
    assert sentence.startswith("error: ")
    assert "expected" in sentence
    assert repr(name)[1:-1][:30] in sentence
    assert Path(file).name in sentence
    assert contents(folder) == before
    return sentence


MATRIX: Tree = {
    "models": {"one": {"family": "llava_onevision", "frames": 2}},
    "datasets": {"photographs": {"modality": "video"}},
    "suites": {
        "plain": {"models": ["one"], "datasets": ["photographs"], "method": "focus", "folder": "here"},
        "swept": {
            "models": ["one"],
            "datasets": ["photographs"],
            "method": "focus",
            "variants": [
                {"name": "proj", "folder": "vector_size_dse", "datasets": ["photographs"], "parameters": {}}
            ],
        },
    },
}


@pytest.mark.parametrize(
    "way",
    [
        ("models", "@one"),
        ("models", "one", "family"),
        ("datasets", "@photographs"),
        ("datasets", "photographs", "task"),
        ("suites", "@plain"),
        ("suites", "plain", "models", 0),
        ("suites", "plain", "datasets", 0),
        ("suites", "plain", "method"),
        ("suites", "plain", "folder"),
        ("suites", "swept", "variants", 0, "name"),
        ("suites", "swept", "variants", 0, "folder"),
        ("suites", "swept", "variants", 0, "datasets", 0),
    ],
    ids=str,
)
def test_a_matrix_file(way: Way, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = dumped(tmp_path / "matrix.yaml", put(MATRIX, way, away))
    words = ["--profile", str(file), "--output", str(tmp_path / "a" / "b" / "out")]
    sentence = refused(lambda: run_command(matrix_cli.app, words), tmp_path, away, file, capsys)
    field = ".".join(str(step) for step in way if not str(step).startswith("@"))
    assert f"field '{field}'" in sentence


def test_the_matrix_is_right_as_it_stands(tmp_path: Path) -> None:
    file = dumped(tmp_path / "matrix.yaml", MATRIX)
    assert run_command(matrix_cli.app, ["--profile", str(file), "--list"]) == 0


STUDY: Tree = json.loads(
    study_text(
        axes=[{"field": "method.m_tile", "values": [512, 1024]}],
        traces={
            "folder": "focus_main",
            "options": {
                "folder": "m_tile_size_dse",
                "variant": "{m_tile}",
                "accuracy_table": "design_space_accuracy.csv",
                "accuracy_of": "m_tile_size",
            },
        },
    )
)
OPTIONS = ("traces", "options")


@pytest.mark.parametrize(
    "way",
    [
        ("name",),
        ("accelerator",),
        ("workloads", 0),
        ("traces", "folder"),
        (*OPTIONS, "folder"),
        (*OPTIONS, "variant"),
        (*OPTIONS, "accuracy_table"),
        (*OPTIONS, "accuracy_of"),
        ("axes", 0, "values", 0),
    ],
    ids=str,
)
def test_a_study_file(way: Way, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = dumped(tmp_path / "study.yaml", put(STUDY, way, away))
    words = [str(file), "--trace", str(PUBLISHED_ROOT), "--output", str(tmp_path / "a" / "out")]
    names = "" if way[0] in ("axes", "traces") else file  # the study is known, its options are checked later
    refused(lambda: run_command(sweep_cli.app, words), tmp_path, away, names, capsys)


@pytest.mark.parametrize("provider", ["command", "measure"])
def test_the_folder_of_a_provider(
    provider: str, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = {"command": {"command": ["touch", str(tmp_path / "ran")]}, "measure": {}}
    options = ran[provider] | {"folder": away}
    study = STUDY | {"traces": {"provider": provider, "options": options}}
    words = [str(dumped(tmp_path / "study.yaml", study)), "--output", str(tmp_path / "a" / "out")]
    words += ["--allow-command"]
    refused(lambda: run_command(sweep_cli.app, words), tmp_path, away, "traces.options", capsys)


@pytest.mark.parametrize(
    "way",
    [
        ("accelerator",),
        ("label",),
        ("dram_system",),
        ("components", "@systolic_array"),
        ("components", "systolic_array", "label"),
        ("buffers", "@input"),
        ("buffers", "input", "macros", 0, "macro"),
    ],
    ids=str,
)
def test_a_hardware_file(way: Way, away: str, tmp_path: Path) -> None:
    file = dumped(tmp_path / "focus.yaml", put(hardware_tree(ACCELERATORS.load("focus")), way, away))
    with pytest.raises(FocalError, match=r"focus\.yaml") as caught:
        build_accelerator("focus", file)
    assert repr(away)[1:-1][:30] in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_method_file(away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree: Tree = {"model": {"sparsezip": {}}, "runner": {"dataset": away}}
    file = dumped(tmp_path / "method.yaml", tree)
    words = ["--method", "sparsezip", "--method-config", str(file), "--output", str(tmp_path / "out")]
    refused(lambda: run_command(trace_cli.app, words), tmp_path, away, file, capsys)


TABLES = {
    "meta_data.csv": ("Model", "Dataset"),
    "adaptiv_sparsity.csv": ("Model", "Dataset"),
    "cmc_sparsity.csv": ("Model", "Dataset"),
    "schedules.csv": ("model", "dataset"),
}


def with_cell(file: Path, column: str, name: str) -> Path:
    """The table with another cell in its first row."""
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    rows[0][column] = name
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.mark.parametrize(("table", "column"), [(t, c) for t, columns in TABLES.items() for c in columns])
def test_a_table_of_a_trace_root(
    table: str, column: str, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in TABLES:
        shutil.copy(PUBLISHED_ROOT / name, root / name)
    with_cell(root / table, column, away)
    words = ["--trace", str(root), "--accelerator", "dense,adaptiv,cmc", "--output", str(tmp_path / "out")]
    sentence = refused(lambda: run_command(sim_cli.app, words), tmp_path, away, table, capsys)
    assert f"row 1: '{column}'" in sentence
    if table != "schedules.csv":  # a run writes into the other three: it stops before it loads a model
        words = ["--size", "tiny", "--output", str(root)]
        refused(lambda: run_command(trace_cli.app, words), tmp_path, away, table, capsys)


@pytest.mark.parametrize("option", ["--variant"])
def test_an_option_of_sim(option: str, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trace", str(PUBLISHED_ROOT), option, away, "--output", str(tmp_path / "out")]
    refused(lambda: run_command(sim_cli.app, words), tmp_path, away, "", capsys)


def test_the_dataset_of_a_trace(away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--size", "tiny", "--dataset", away, "--output", str(tmp_path / "a" / "out")]
    refused(lambda: run_command(trace_cli.app, words), tmp_path, away, "dataset", capsys)


def written(file: Path, rows: Sequence[dict[str, str]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result table of ``focal sim`` with one row."""
    folder = tmp_path_factory.mktemp("results")
    words = ["--trace", str(PUBLISHED_ROOT), "--accelerator", "dense", "--fidelity", "parity", "--no-figure"]
    words += ["--model", "llava_vid", "--dataset", "mvbench", "--output", str(folder)]
    assert run_command(sim_cli.app, words) == 0
    return folder / "results.csv"


READERS: dict[str, Callable[[Path], Any]] = {
    "report": lambda file: read_frame(file.parent),
    "claims": lambda file: read_published_rows(file.parent),
    "merge": lambda file: merge_table(file, list(csv.DictReader(file.open(newline=""))), RUN_KEY, {}),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("column", ["model", "dataset", "accelerator", "variant"])
def test_a_result_table(reader: str, column: str, away: str, results: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(results, tmp_path / "results.csv"))
    READERS[reader](file)
    before = with_cell(file, column, away).read_bytes()
    with pytest.raises(FocalError, match=rf"results\.csv, row 1: '{column}'"):
        READERS[reader](file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("column", ["model", "dataset", "method"])
def test_a_table_of_accuracies(column: str, away: str, tmp_path: Path) -> None:
    file = written(tmp_path / "accuracy.csv", [dict.fromkeys(ACCURACY_COLUMNS, "1") | {column: away}])
    with pytest.raises(FocalError, match=rf"accuracy\.csv, row 1: '{column}'"):
        upsert_rows(file, ACCURACY_COLUMNS, [])
    for name, read in (("accuracy.csv", read_accuracies), ("jetson_gpu.csv", read_gpu_runs)):
        shutil.copy(PUBLISHED_ROOT / name, tmp_path / name)
        read(tmp_path)
        with_cell(tmp_path / name, column, away)
        with pytest.raises(FocalError, match=rf"{name}, row 1: '{column}'"):
            read(tmp_path)


@pytest.mark.parametrize("column", ["model", "benchmark", "method"])
def test_an_arena(column: str, away: str, tmp_path: Path) -> None:
    file = tmp_path / "arena.csv"
    shutil.copy(PUBLISHED_ROOT.parents[1] / "docs" / "studies" / "engine_pruning" / "arena.csv", file)
    read_arena(file)
    with pytest.raises(FocalError, match=rf"arena\.csv, row 1: '{column}'"):
        read_arena(with_cell(file, column, away))


@pytest.mark.parametrize("column", ["model", "dataset"])
def test_the_accuracies_of_a_design_space(
    column: str, away: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(PUBLISHED_ROOT, tmp_path / "root"))
    with_cell(root / "design_space_accuracy.csv", column, away)
    study = dumped(tmp_path / "study.yaml", STUDY | {"workloads": ["llava_vid/videomme"]})
    words = [str(study), "--trace", str(root), "--output", str(tmp_path / "out"), "--no-figures"]
    sentence = refused(lambda: run_command(sweep_cli.app, words), tmp_path, away, "", capsys)
    assert f"design_space_accuracy.csv, row 1: '{column}'" in sentence


def test_the_subject_of_a_claim(away: str, tmp_path: Path) -> None:
    for name in ("meta_data.csv", "schedules.csv", "claims.csv"):
        shutil.copy(PUBLISHED_ROOT / name, tmp_path / name)
    file = tmp_path / "claims.csv"
    with file.open(encoding="utf-8", newline="") as source:
        rows = list(csv.DictReader(source))
    swept = {row["subject"] for row in rows if row["exhibit"] == "dse_m_tile"}
    chosen = sorted(swept)[0]
    written(file, [row | {"subject": away} if row["subject"] == chosen else row for row in rows])
    with pytest.raises(FocalError, match=r"claims\.csv: 'subject' of dse_m_tile"):
        read_cases(tmp_path)


HEADER: Tree = json.loads(header_to_text(tiny_trace().header))


@pytest.mark.parametrize("way", [("model",), ("dataset",), ("method",), ("samples", 0, "sample_id")], ids=str)
def test_a_trace_header(way: Way, away: str) -> None:
    with pytest.raises(FocalError, match="x.counts.parquet: field '" + ".".join(map(str, way))) as caught:
        text_to_header(json.dumps(put(HEADER, way, away)), "x.counts.parquet")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("field", ["model", "dataset", "variant"])
def test_a_calibrated_trace(field: str, away: str, tmp_path: Path) -> None:
    known = next((PUBLISHED_ROOT / "block_size_dse").glob("*.json"))
    read_recipe(known)
    file = tmp_path / "x.calibrated.json"
    file.write_text(json.dumps(json.loads(known.read_text()) | {field: away}))
    with pytest.raises(FocalError, match=f"field '{field}'"):
        read_recipe(file)


def two_frames() -> FramesTrace:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8)).save(sink, format="PNG")
    header = tiny_trace().header
    cells = np.tile(np.array([[0, 0, 0, 8, 8]], dtype=np.int32), (header.samples[1].visual_tokens, 1))
    picture = KeptPicture("frame 0", 8, 8, sink.getvalue())
    shown = SampleFrames(header.samples[1].sample_id, "What?", (picture,), cells)
    return FramesTrace(header, (None, shown))


@pytest.mark.parametrize(
    "way",
    [
        ("samples", 0, "sample_id"),
        ("samples", 0, "cells"),
        ("samples", 0, "pictures", 0, "file"),
        ("sha256", "@cells/0001.npy"),
    ],
    ids=str,
)
def test_a_member_of_a_file_of_frames(way: Way, away: str, tmp_path: Path) -> None:
    write_frames(two_frames(), tmp_path / "good.frames.zip")
    with zipfile.ZipFile(tmp_path / "good.frames.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["frames.json"] = json.dumps(put(json.loads(members["frames.json"]), way, away)).encode()
    with zipfile.ZipFile(tmp_path / "bad.frames.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(FocalError, match=r"bad\.frames\.zip: frames\.json: field "):
        read_frames(tmp_path / "bad.frames.zip")


def test_the_files_of_a_trained_model(away: str, tmp_path: Path) -> None:
    hashes = {"model.safetensors": "0", away: "0"}
    (tmp_path / "weights.json").write_text(json.dumps({"sha256": dict(reversed(hashes.items()))}))
    with pytest.raises(FocalError, match=r"weights\.json: 'sha256'"):
        check_weights(tmp_path)


@pytest.mark.parametrize("column", ["picture", "kind"])
def test_the_answers_of_a_measurement(column: str, away: str, tmp_path: Path) -> None:
    provider = object.__new__(MeasuredTraces)
    provider._cache = TraceCache(tmp_path, "of this test")
    folder = provider._cache.place({})
    folder.mkdir()
    right = {"picture": "shapes-video-0-test-3", "kind": "count", "right": "1"}
    written(folder / ANSWERS, [right])
    assert len(provider.answers({})) == 1
    written(folder / ANSWERS, [right | {column: away}])
    with pytest.raises(FocalError, match=rf"{ANSWERS}: .*'{column}'"):
        provider.answers({})


def test_nothing_is_removed_that_focal_did_not_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = dumped(tmp_path / "matrix.yaml", MATRIX)
    output = tmp_path / "out"
    samples = output / "matrix" / "plain" / "one" / "photographs" / "samples"
    samples.mkdir(parents=True)
    (samples / "precious.txt").write_text("x")
    words = ["--profile", str(file), "--output", str(output)]
    before = contents(tmp_path)
    assert run_command(matrix_cli.app, words) == 2
    assert f"samples: holds files but no {MARKER}" in " ".join(capsys.readouterr().err.split())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("link", ["matrix/plain/one", "here", "matrix"])
def test_a_link_in_the_output_is_not_followed_out_of_it(
    link: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output, outside = dumped(tmp_path / "matrix.yaml", MATRIX), tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (output / link).parent.mkdir(parents=True, exist_ok=True)
    (output / link).symlink_to(outside, target_is_directory=True)
    before = contents(tmp_path)
    assert run_command(matrix_cli.app, ["--profile", str(file), "--output", str(output)]) == 2
    assert "a symbolic link leads to" in " ".join(capsys.readouterr().err.split())
    assert contents(tmp_path) == before


def test_a_sweep_leaves_parts_of_another_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    (output / "parts").mkdir(parents=True)
    (output / "parts" / "precious.txt").write_text("x")
    file = tmp_path / "study.yaml"
    file.write_text(study_text())
    words = [str(file), "--trace", str(PUBLISHED_ROOT), "--output", str(output)]
    assert run_command(sweep_cli.app, words) == 2
    assert MARKER in " ".join(capsys.readouterr().err.split())
    assert (output / "parts" / "precious.txt").read_text() == "x"
    assert not (output / "study.json").exists()


def test_the_tables_of_a_manifest(away: str, results: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(results.parent, tmp_path / "run"))
    read_runs([folder])
    manifest = json.loads((folder / "manifest.json").read_text())
    place = folder / "manifest.json"
    place.write_text(json.dumps(manifest | {"tables": {away: "0"}}))
    with pytest.raises(FocalError, match=r"manifest\.json: damaged or edited"):
        read_runs([folder])
    # The seal keeps no secret: whoever edits can seal again, or leave it out as earlier versions did.
    files = manifest.pop("files")
    del manifest["manifest_sha256"]
    for text in (
        sealed_text(manifest | {"tables": {away: "0"}}, files),
        json.dumps(manifest | {"tables": {away: "0"}}),
    ):
        place.write_text(text)
        with pytest.raises(FocalError, match=r"manifest\.json: field 'tables'"):
            read_runs([folder])


def test_the_name_of_a_model_in_an_arena(away: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    ModelFolder.read(f"mine={tmp_path}")
    with pytest.raises(FocalError, match="--model"):
        ModelFolder.read(f"{away}={tmp_path}")


def test_a_task_of_a_folder_of_tasks(away: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class OneTask:
        def __init__(self, *_words: str, **_options: Any) -> None:
            self.task_index = {away: {"yaml_path": "x.yaml"}}

    tasks = ModuleType("lmms_eval.tasks")
    tasks.TaskManager = OneTask  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lmms_eval", ModuleType("lmms_eval"))
    monkeypatch.setitem(sys.modules, "lmms_eval.tasks", tasks)
    with pytest.raises(FocalError, match="name of a task"):
        _own_index(tmp_path)
