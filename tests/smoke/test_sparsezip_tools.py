"""Do the tools of SparseZip's page run as typed, on folders as the benchmarks are handed out, and lose nothing?"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evaluation_support import random_model_folder
from focal.commands.running import run_command
from focal.commands.sparsezip import app
from focal.studies.sparsezip.benchmark_folders import COGNITION, PERCEPTION, annotation_split, mme_splits
from focal.studies.sparsezip.published_settings import published_settings
from focal_algorithm.methods.build import build_method
from focal_algorithm.tasks.store import load_split
from focal_common.errors import ConfigError
from focal_common.statistics import wilson

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
SHIPPED = ("--model_path", "shapes_image", "--warmup", "0")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(tool: str, *words: str) -> int:
    return run_command(app, ["published", tool, *words])


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    text = " ".join(capsys.readouterr().err.split())
    return text[text.index("error: ") :]


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of the shipped model's world in the layouts of MME and POPE."""
    root = tmp_path_factory.mktemp("benchmarks")
    samples = load_split("shapes-pope", seed=3, split="test", samples=3, variant="random").samples
    for folder in ("MME/existence", "MME/artwork/images", "MME/count", "images"):
        (root / folder).mkdir(parents=True)
        for number, sample in enumerate(samples):
            Image.fromarray(sample.frames[0]).save(root / folder / f"{number}.png")
    texts = root / "MME" / "artwork" / "questions_answers_YN"
    texts.mkdir()
    structured, lines = [], []
    for number, sample in enumerate(samples):
        yes = next(one for one in sample.questions if one.answer == "yes").text
        no = next(one for one in sample.questions if one.answer == "no").text
        text = f"{yes}\tYes\n{no} Please answer yes or no.\tNo\n"
        (root / "MME" / "existence" / f"{number}.txt").write_text(text)
        (texts / f"{number}.txt").write_text(text)
        structured.append({"image": f"{number}.png", "questions": [yes, no], "answers": ["yes", "no"]})
        lines += [
            json.dumps(
                {"question_id": 2 * number + index, "image": f"{number}.png", "text": one, "label": label}
            )
            for index, (one, label) in enumerate(((yes, "yes"), (no, "no")))
        ]
    (root / "MME" / "count" / "count.json").write_text(json.dumps(structured))
    (root / "POPE" / "coco").mkdir(parents=True)
    for variant in ("random", "popular", "adversarial"):
        (root / "POPE" / "coco" / f"coco_pope_{variant}.json").write_text("\n".join(lines) + "\n")
    return root


def test_the_three_layouts_of_mme_hold_the_same_questions(benchmarks: Path) -> None:
    wanted = ("existence", "count", "artwork")
    found = {one.name: one for one in mme_splits(benchmarks / "MME", wanted)}
    asked = {
        name: [(one.picture_id, one.text, one.answers, one.problem) for one in found[name].questions]
        for name in wanted
    }
    assert asked["existence"] == asked["count"] == asked["artwork"]
    assert len(asked["count"]) == 6
    assert all(text.count("Please answer yes or no.") == 1 for _, text, _, _ in asked["count"])
    assert [answer for _, _, answer, _ in asked["count"]] == [("yes",), ("no",)] * 3


def test_mme_and_pope_join_in_one_summary(benchmarks: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    mme = (
        "--mme_root",
        str(benchmarks / "MME"),
        "--out_root",
        out,
        "--cfg",
        str(CONFIG / "sparsezip_mme.yaml"),
    )
    assert run("mme_run_all", *mme, *SHIPPED, "--only", "existence", "count") == 0
    pope = (
        "--pope_root",
        str(benchmarks / "POPE"),
        "--img_root",
        str(benchmarks / "images"),
        "--out_dir",
        out,
    )
    assert (
        run("pope_run_all", *pope, "--cfg", str(CONFIG / "sparsezip_pope.yaml"), *SHIPPED, "--limit", "4")
        == 0
    )

    table = rows(tmp_path / "out" / "mme_summary.csv")
    assert [(row["subtask"], row["n"], row["status"]) for row in table] == [
        ("existence", "6", "done"),
        ("count", "6", "done"),
    ]
    variants = rows(tmp_path / "out" / "pope_summary.csv")
    assert [(row["variant"], row["n"], row["n_answered"]) for row in variants] == [
        (name, "4", "4") for name in ("random", "popular", "adversarial")
    ]
    said = answers(tmp_path / "out" / "results" / "outputs_existence" / "results.jsonl")
    right = sum(one["pred"] == one["answers"][0] for one in said)
    assert float(table[0]["mme_acc"]) == pytest.approx(right / 6, rel=1e-5)
    pairs = [said[n]["pred"] == "yes" and said[n + 1]["pred"] == "no" for n in (0, 2, 4)]
    assert float(table[0]["mme_acc_plus"]) == pytest.approx(sum(pairs) / 3, rel=1e-5)
    times = sorted(one["end2end_ms"] for one in said)
    assert float(table[0]["end2end_p50_ms"]) == pytest.approx((times[2] + times[3]) / 2, rel=1e-4)
    two_columns = {
        row["metric"]: row["value"] for row in rows(tmp_path / "out/results/outputs_count/summary.csv")
    }
    assert two_columns["mme_acc"] == table[1]["mme_acc"]

    joined = rows(tmp_path / "out" / "summary_final.csv")
    assert {row["benchmark"] for row in joined} == {"mme", "pope"}
    own = next(
        row
        for row in joined
        if (row["benchmark"], row["split"], row["parser"], row["metric"])
        == ("mme", "existence", "repo", "accuracy")
    )
    assert (float(own["ci_low"]), float(own["ci_high"])) == pytest.approx(wilson(right, 6), rel=1e-4)
    assert run("mme_run_all", *mme, *SHIPPED, "--only", "count", "--limit", "2") == 0
    again = rows(tmp_path / "out" / "summary_final.csv")
    assert [row for row in again if row["benchmark"] == "pope"] == [
        row for row in joined if row["benchmark"] == "pope"
    ]
    assert {row["split"] for row in again if row["benchmark"] == "mme"} == {"all", "count"}


def test_the_tokens_of_a_row_are_those_of_the_file(benchmarks: Path, tmp_path: Path) -> None:
    """K is fixed at 20, and 5 merged tokens and CLS join it; the untouched model sees all 144 without CLS."""
    path = tmp_path / "own.yaml"
    path.write_text(
        "model: {model_type: sparsezip, dominant: 20, contextual: 5, sparsezip: {dynamic_k: false, k_min: 1}}\n"
        "runner: {dataset: pope}\n"
    )
    ann = benchmarks / "POPE" / "coco" / "coco_pope_random.json"
    own = tmp_path / "ann.json"
    records = [json.loads(line) for line in ann.read_text().splitlines()[:2]]
    images = [str(benchmarks / "images" / record["image"]) for record in records]
    own.write_text(
        json.dumps([record | {"image": image} for record, image in zip(records, images, strict=True)])
    )
    for kind, tokens in ((None, 26), ("llava", 144)):
        words = () if kind is None else ("--model_type", kind)
        out = tmp_path / f"out_{kind}"
        words = (*words, "--cfg", str(path), "--ann_path", str(own), "--output_dir", str(out))
        assert run("evalkit", *words, *SHIPPED) == 0
        said = answers(out / "results.jsonl")
        assert {one["visual_tokens"] for one in said} == {tokens}
        assert [one["qid"] for one in said] == ["0", "1"]
        assert [one["image_path"] for one in said] == images
        assert (out / "summary.csv").is_file()
        assert len({one["config_hash"] for one in said}) == 1


def test_nothing_that_cannot_be_asked_is_dropped(
    benchmarks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "MME"
    for name in ("existence", "count", "color", "posters", "presence"):
        (root / name).mkdir(parents=True)
    picture = Image.open(benchmarks / "images" / "0.png")
    for place in ("existence/a.png", "existence/lonely.png", "count/a.png"):
        picture.save(root / place)
    (root / "existence" / "a.txt").write_text("is it red?\tYes\nno tab\nis it?\tmaybe\n")
    (root / "existence" / "gone.txt").write_text("is it red?\tYes\n")
    (root / "existence" / "torn.png").write_bytes(b"\x89PNG torn")
    (root / "existence" / "torn.txt").write_text("is it red?\tYes\n")
    (root / "count" / "q.json").write_text(json.dumps([{"image": "a.png", "question": "is it red?"}, 7]))
    (root / "color" / "q.json").write_text('{"image": "a.png"\n')
    words = (
        "--mme_root",
        str(root),
        "--out_root",
        str(tmp_path / "out"),
        "--cfg",
        str(CONFIG / "default.yaml"),
    )
    assert run("mme_run_all", *words, *SHIPPED) == 1
    table = {row["subtask"]: row for row in rows(tmp_path / "out" / "mme_summary.csv")}
    assert set(table) == {*PERCEPTION, *COGNITION, "presence"}
    states = {name: row["status"] for name, row in table.items()}
    assert states["existence"] == "partial"
    assert states["count"] == states["color"] == states["posters"] == "failed"
    assert states["presence"] == "unknown"
    absent = {*PERCEPTION, *COGNITION} - {"existence", "count", "color", "posters"}
    assert {states[name] for name in absent} == {"missing"}
    assert all(row["reason"] for row in table.values())
    said = answers(tmp_path / "out" / "results" / "outputs_existence" / "results.jsonl")
    reasons = [one["reason"] for one in said if one["status"] == "failed"]
    parts = (
        "line 2: no tab",
        "'maybe', expected yes or no",
        "gone.jpg: no such picture",
        "no question file lonely.txt",
        "cannot be read as an image",
    )
    for part in parts:
        assert sum(part in reason for reason in reasons) == 1, part
    assert len(said) == 6
    written = rows(tmp_path / "out" / "summary_final.csv")
    final = {row["split"]: row for row in written if row["metric"] == "all"}
    scores = [row for row in written if row["origin"] == "measured"]
    assert {row["split"] for row in scores} == {"all", "existence"}
    assert {row["status"] for row in scores} == {"partial"}
    assert final.keys() == table.keys()
    assert final["existence"]["n"] == "5"
    assert "partial: existence: 5 of 6 questions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tool", "words", "says"),
    [
        ("mme_run_all", ("--mme_root", "/path/to/MME_Benchmark"), "/path/to/MME_Benchmark: no such folder"),
        ("pope_run_all", ("--pope_root", "nowhere"), "--pope_root and --img_root belong together"),
        ("pope_run_all", ("--only", "randm"), "did you mean 'random'"),
        ("mme_run_all", ("stray",), "'stray' belongs to no option"),
        ("mme_run_all", ("--model_type", "hybrid"), "a variable that it never sets"),
        ("mme_run_all", ("--limit", "0"), "runner.limit must be a whole number of at least 1"),
        ("pope_run_all", ("--model_path", "nowhere"), "give --model_path a folder, or shapes_image"),
    ],
)
def test_wrong_use_is_one_sentence(
    tool: str, words: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = str(CONFIG / "sparsezip_mme.yaml")
    assert run(tool, "--cfg", cfg, "--out_root", str(tmp_path / "out"), *words) == 2
    assert says in one_sentence(capsys)
    assert not (tmp_path / "out").exists()


def test_a_summary_of_others_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary_final.csv").write_text("a,b\n1,2\n")
    words = ("--cfg", str(CONFIG / "sparsezip_mme.yaml"), "--out_root", str(tmp_path), *SHIPPED)
    assert run("mme_run_all", *words) == 2
    assert "choose another output folder" in one_sentence(capsys)
    assert (tmp_path / "summary_final.csv").read_text() == "a,b\n1,2\n"


def test_the_name_on_the_page_is_read_as_its_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    words = ("--cfg", str(CONFIG / "sparsezip_pope.yaml"), "--out_dir", str(tmp_path / "out"))
    assert run("pope_run_all", *words, "--model_path", "liuhaotian/llava-v1.5-7b") == 2
    said = one_sentence(capsys)
    assert said.startswith("error: llava-hf/llava-1.5-7b-hf: cannot be loaded")
    assert said.endswith("give --model_path a folder, or shapes_image for the shipped model")


def test_a_small_checkpoint_of_ones_own_answers_free_questions(benchmarks: Path, tmp_path: Path) -> None:
    model = random_model_folder("image", tmp_path / "model")
    ann = tmp_path / "ann.csv"
    image = benchmarks / "images" / "0.png"
    ann.write_text(
        f"qid,image,question,answer\nq1,{image},what is red?,wheel\nq2,{tmp_path / 'no.png'},what?,x\n"
    )
    cfg = tmp_path / "own.yaml"
    cfg.write_text("model: {model_type: llava_vzip, dominant: 9, contextual: 3, max_new_tokens: 2}\n")
    out = tmp_path / "out"
    words = ("--cfg", str(cfg), "--ann_path", str(ann), "--output_dir", str(out), "--model_path", str(model))
    assert run("evalkit", *words) == 1
    first, second = answers(out / "results.jsonl")
    assert (first["qid"], first["visual_tokens"], first["prompt"]) == ("q1", 12, "what is red?")
    assert first["num_new_tokens"] <= 2
    assert (second["status"], "no such picture" in second["reason"]) == ("failed", True)
    assert {row["metric"] for row in rows(out / "summary_final.csv")} == {"accuracy", "all"}


def test_a_file_of_questions_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ann.json"
    path.write_text("[1")
    with pytest.raises(ConfigError, match="not JSON as expected"):
        annotation_split(path, is_yes_or_no=True)


@pytest.mark.parametrize("tool", ["tools/mme_run_all.py", "tools/pope_run_all.py", "scripts/evalkit.py"])
def test_the_files_of_the_page_are_the_commands(tool: str, tmp_path: Path) -> None:
    words = [sys.executable, str(ROOT / tool), "--cfg", str(tmp_path / "absent.yaml"), "--help"]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=dict(os.environ), cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--cfg" in done.stdout


def test_our_settings_build_the_methods_they_name() -> None:
    for name in ("sparsezip_mme", "sparsezip_pope", "default"):
        found = published_settings(CONFIG / f"{name}.yaml", {})
        assert build_method(found.method, found.parameters).name == found.method


def test_a_budget_of_other_layers_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "--cfg",
        str(CONFIG / "default.yaml"),
        "--out_dir",
        str(tmp_path / "out"),
        *SHIPPED,
        "--limit",
        "1",
    )
    assert run("pope_run_all", *words, "--model_type", "sparsevlm", "--only", "random") == 0
    assert "this model has 8 layers" in " ".join(capsys.readouterr().err.split())
