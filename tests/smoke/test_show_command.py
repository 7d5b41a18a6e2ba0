"""Does ``focal show`` draw a recorded run in every format, agree with the trace, and refuse wrong use briefly?"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from focal.commands.running import run_command
from focal.commands.show import app
from focal.commands.trace import app as trace_app
from focal_evaluation.overlays.loading import read_sample
from focal_evaluation.overlays.looks import STATUS_LOOKS
from focal_evaluation.overlays.scene import status_scene
from focal_evaluation.overlays.sheet import SheetMaker
from focal_traces.files.store import open_masks, write_counts
from focal_traces.records.file import read_records
from traces_support import tiny_trace

NAME = "llava_onevision_photographs"
FOCUS = ["--set", "selected_layers=[0,2]", "--set", "alpha_list=[0.5,0.2]"]
RUNS = {
    "focus_main": ["--method", "focus", *FOCUS],
    "visionzip": ["--method", "visionzip", "--set", "dominant=4", "--set", "contextual=2"],
    "without": ["--method", "focus", *FOCUS, "--no-keep-frames", "--dataset", "without"],
    "seed": ["--method", "focus", *FOCUS, "--seed", "3", "--dataset", "seed"],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for words in RUNS.values():
        common = [
            "--size",
            "tiny",
            "--frames",
            "3",
            "--samples",
            "2",
            "--prompt",
            "Who?",
            "--new-tokens",
            "0",
        ]
        assert run_command(trace_app, [*common, *words, "--output", str(folder)]) == 0
    return folder


def counts(root: Path, folder: str = "focus_main", name: str = NAME) -> str:
    return str(root / folder / f"{name}.counts.parquet")


def show(*words: str) -> int:
    return run_command(app, list(words))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert show(*words) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("kind", ["png", "gif", "mp4", "html"])
def test_every_format_is_written_in_equal_bytes(root: Path, tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        assert show(counts(root), "-o", str(tmp_path / f"{name}.{kind}")) == 0
    assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_cells_in_the_written_picture_are_the_kept_tokens_of_the_trace(root: Path, tmp_path: Path) -> None:
    """From the file back to the counts: pixels of PNG and GIF against the records of the run."""
    assert show(counts(root), "--sample", "1", "-o", str(tmp_path / "all.gif")) == 0
    records = read_records(root / "focus_main" / f"{NAME}.records.parquet").samples[1]
    panels = SheetMaker(status_scene(read_sample(Path(counts(root)), "1"))).draw(0).panels
    with Image.open(tmp_path / "all.gif") as film:
        assert film.n_frames == 4
        for layer in range(4):
            film.seek(layer)
            words = ["--layer", str(layer), "--sample", "1", "-o", str(tmp_path / "one.png")]
            assert show(counts(root), *words) == 0
            with Image.open(tmp_path / "one.png") as source:
                still = np.asarray(source.convert("RGB"))
            in_trace = next(
                int(record.value[0])
                for record in records
                if (record.kind, record.layer, record.point) == ("visual_tokens", layer, "after_attention")
            )
            for drawn in (still, np.asarray(film.convert("RGB"))):
                corners = [
                    drawn[panel.top + cell[1], panel.left + cell[0]]
                    for panel in panels
                    for cell in panel.map.cells
                ]
                kept = [look.edge for look in STATUS_LOOKS if look.counts]
                assert sum(tuple(corner) in kept for corner in map(tuple, corners)) == in_trace


def test_counts_are_printed_as_json(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(counts(root), "-o", str(tmp_path / "a.png"), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["visual_tokens"] == 27
    assert facts["kept_by_layer"] == [13, 13, 5, 5]
    assert [sum(row) for row in facts["counts_by_layer"]] == [27] * 4


def test_two_methods_are_compared(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--diff", counts(root, "visionzip"), "--layer", "1", "-o", str(tmp_path / "d.png")]
    assert show(counts(root), *words) == 0
    printed = capsys.readouterr().out
    found = {name: int(number) for number, name in re.findall(r"(\d+) (kept by both|only A|only B)", printed)}
    assert found.get("kept by both", 0) + found.get("only A", 0) == 13
    assert found.get("kept by both", 0) + found.get("only B", 0) == 18


def test_masks_alone_show_who_is_gone_and_say_so(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of an imported trace, with the frames of the run it came from."""
    masks = open_masks(root / "focus_main" / f"{NAME}.masks.pth")
    shutil.copy(root / "focus_main" / f"{NAME}.masks.pth", tmp_path / "imported.masks.pth")
    words = [
        "--frames",
        str(root / "focus_main" / f"{NAME}.frames.zip"),
        "-o",
        str(tmp_path / "a.png"),
        "--json",
    ]
    assert masks.header.method == "focus"
    assert show(str(tmp_path / "imported.masks.pth"), *words) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["kept_by_layer"] == [13, 13, 5, 5]
    assert "masks but no records" in printed.err


def test_wrong_use_is_one_sentence(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, out = counts(root), str(tmp_path / "a.png")
    assert "has layers 0 to 3" in refused(capsys, good, "--layer", "4", "-o", out)
    assert "has samples 0 to 1" in refused(capsys, good, "--sample", "2", "-o", out)
    assert "did you mean 'chelsea-0-1'" in refused(capsys, good, "--sample", "chelsee-0-1", "-o", out)
    assert ".png, .gif, .mp4, .html" in refused(capsys, good, "-o", str(tmp_path / "a.jpg"))
    assert "shows all layers" in refused(capsys, good, "--layer", "1", "-o", str(tmp_path / "a.gif"))
    assert "no such file" in refused(capsys, str(tmp_path / "none.counts.parquet"), "-o", out)
    without = counts(root, name="llava_onevision_without")
    assert "keeps no frames, so" in refused(capsys, without, "-o", out)
    synthetic = tmp_path / "s.counts.parquet"
    write_counts(tiny_trace(), synthetic)
    assert "keeps no frames (its numbers are synthetic)" in refused(capsys, str(synthetic), "-o", out)
    frames = str(root / "focus_main" / f"{NAME}.frames.zip")
    assert "holds counts only" in refused(capsys, str(synthetic), "--frames", frames, "-o", out)
    foreign = str(root / "focus_main" / "llava_onevision_seed.frames.zip")
    assert "expected frames of the same inputs" in refused(capsys, good, "--frames", foreign, "-o", out)
    other = counts(root, name="llava_onevision_seed")
    assert "sample 'astronaut-0-0': no such sample" in refused(
        capsys, other, "--sample", "astronaut-0-0", "-o", out
    )
    assert "unequal inputs" in refused(capsys, good, "--diff", other, "-o", out)
    assert not (tmp_path / "a.png").exists()


def test_frames_of_another_run_beside_a_trace_are_noticed(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix, name in ((".records.parquet", NAME), (".frames.zip", "llava_onevision_seed")):
        shutil.copy(root / "focus_main" / f"{name}{suffix}", tmp_path / f"mixed{suffix}")
    found = refused(capsys, str(tmp_path / "mixed.records.parquet"), "-o", str(tmp_path / "a.png"))
    assert "the frames beside it are of another run" in found


def test_a_run_without_frames_removes_those_of_an_earlier_one(root: Path, tmp_path: Path) -> None:
    common = ["--size", "tiny", "--frames", "2", "--samples", "1", "--method", "dense", "--new-tokens", "0"]
    for words, is_there in ((["--keep-frames"], True), (["--no-keep-frames"], False)):
        assert run_command(trace_app, [*common, *words, "--output", str(tmp_path)]) == 0
        assert (tmp_path / "dense" / f"{NAME}.frames.zip").is_file() is is_there


@pytest.mark.external
def test_the_page_draws_in_a_browser_what_the_trace_holds(root: Path, tmp_path: Path) -> None:
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = tmp_path / "a.html"
    assert show(counts(root, "visionzip"), "-o", str(page)) == 0
    # Counts the corners of cells in the canvases, in the colours of tokens that count as kept.
    probe = """<script>setTimeout(() => { const data = JSON.parse(document.getElementById("data").textContent);
      let found = 0; const kept = data.looks.filter((look) => look.counts).map((look) => look.edge.join());
      for (const canvas of document.querySelectorAll("canvas")) { const picture = data.pictures[canvas.dataset.picture];
        const scale = canvas.width / picture.width; const context = canvas.getContext("2d");
        for (let at = 0; at < data.cells.length; at += 5) if (data.cells[at] === Number(canvas.dataset.picture)) {
          const pixel = context.getImageData(Math.floor(data.cells[at + 1] * scale + 0.5),
            Math.floor(data.cells[at + 2] * scale + 0.5), 1, 1).data;
          found += kept.includes([...pixel].slice(0, 3).join()); } }
      document.title = "found " + found; }, 500);</script></body>"""
    page.write_text(page.read_text(encoding="utf-8").replace("</body>", probe), encoding="utf-8")
    words = ["--no-sandbox", "--virtual-time-budget=4000", "--dump-dom", f"{page.as_uri()}#layer=2"]
    done = subprocess.run([browser, *words], capture_output=True, text=True, timeout=120, check=True)
    assert "<title>found 18</title>" in done.stdout
    assert re.search(r'id="layer-value"[^>]*>2<', done.stdout)
    assert re.search(r'id="kept"[^>]*>18 of 27 visual tokens<', done.stdout)
