"""Do info, validate, convert and diff do their work and leave with the right exit code?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from focal.commands.running import run_command
from focal.commands.trace_files import app
from focal_traces.files.store import open_masks, open_trace, write_counts, write_masks
from focal_traces.masks.published import write_published
from traces_support import tiny_masks, tiny_trace


@pytest.fixture
def masks_path(tmp_path: Path) -> Path:
    path = tmp_path / "größe [1].masks.pth"
    write_masks(tiny_masks(), path)
    return path


@pytest.fixture
def counts_path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.counts.parquet"
    write_counts(tiny_trace(), path)
    return path


def _run(*words: object) -> int:
    return run_command(app, [str(word) for word in words])


def test_info_shows_file_samples_and_gemms(masks_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("info", masks_path) == 0
    shown = capsys.readouterr().out
    for word in ("größe [1].masks.pth", "masks", "synthetic-1", "gate_proj", "weighted sparsity"):
        assert word in shown


def test_info_as_json_carries_numbers(counts_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("info", counts_path, "--sample", 1, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["tier"] == "counts"
    assert facts["tokens"]["down_proj"] == [12, 12, 7]
    assert 0 < facts["weighted_sparsity"] < 1


def test_info_of_an_absent_sample_is_wrong_use(counts_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("info", counts_path, "--sample", 9) == 2
    assert "expected 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info", "validate"])
def test_bad_paths_are_one_sentence_and_exit_2(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.counts.parquet"
    empty.touch()
    for path, words in (
        (tmp_path / "ünbekannt", "no such file"),
        (empty, "is empty"),
        *([(tmp_path, "is a folder")] if command == "info" else []),  # of a folder, manifests are checked
    ):
        assert _run(command, path) == 2
        message = capsys.readouterr().err.strip()
        assert message.startswith("error: ")
        assert words in message
        assert "\n" not in message


def test_validate_passes_good_files_and_names_bad_ones(
    counts_path: Path, masks_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("validate", counts_path, masks_path) == 0
    counts_path.write_bytes(counts_path.read_bytes()[:-20])
    assert _run("validate", counts_path, masks_path, "--json") == 2
    captured = capsys.readouterr()
    assert "1 of 2 files" in captured.err
    report = json.loads(captured.out[captured.out.index("[\n") :])
    assert [entry["ok"] for entry in report] == [False, True]
    assert "truncated" in report[0]["error"]


def test_convert_reduces_masks_and_exchanges_the_published_layout(tmp_path: Path) -> None:
    masks, counts, published, back, table = (
        tmp_path / name for name in ("a.masks.pth", "a.counts.parquet", "p.pth", "b.masks.pth", "a.csv")
    )
    trace = tiny_masks(samples=1)
    write_masks(trace, masks)
    assert _run("convert", masks, counts) == 0
    assert _run("convert", masks, published) == 0
    assert _run("convert", published, back, "--header", masks) == 0
    assert _run("convert", counts, table) == 0
    assert (open_trace(counts).totals(0).unique == open_trace(back).totals(0).unique).all()
    expected = trace.samples[0].group_index(2, "down_proj")
    assert (open_masks(back).samples[0].group_index(2, "down_proj") == expected).all()
    lines = table.read_text().splitlines()
    assert lines[0] == "sample,layer,gemm,m_tile,k_slice,rows,vectors,unique"
    assert len(lines) == 1 + len(open_trace(counts).samples[0])
    assert sum(int(line.rsplit(",", 1)[1]) for line in lines[1:]) == open_trace(counts).totals(0).unique.sum()


def test_info_as_json_is_a_header_file_for_a_published_trace(
    tmp_path: Path, masks_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("info", masks_path, "--json") == 0
    (tmp_path / "header.json").write_text(capsys.readouterr().out)
    write_published(tiny_masks(), tmp_path / "p.pth")
    assert _run("info", tmp_path / "p.pth") == 2
    assert "--header" in capsys.readouterr().err
    assert _run("validate", tmp_path / "p.pth", "--header", tmp_path / "header.json") == 0


def test_counts_beside_a_published_trace_tell_what_was_run(tmp_path: Path) -> None:
    write_published(tiny_masks(samples=1), tmp_path / "a.pth")
    assert _run("validate", tmp_path / "a.pth") == 2
    write_counts(tiny_trace(samples=1), tmp_path / "a.counts.parquet")
    assert _run("validate", tmp_path / "a.pth") == 0
    assert _run("diff", tmp_path / "a.pth", tmp_path / "a.counts.parquet", "--counts-only") == 0


def test_convert_refuses_what_cannot_be(
    tmp_path: Path, counts_path: Path, masks_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ((counts_path, tmp_path / "x.masks.pth"), "cannot be rebuilt"),
        ((counts_path, tmp_path / "x.txt"), "must end in"),
        ((masks_path, counts_path), "--force"),
        ((masks_path, masks_path, "--force"), "is the source itself"),
    ):
        assert _run("convert", *words) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x.masks.pth").exists()


def test_diff_leaves_like_diff(tmp_path: Path, counts_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.counts.parquet"
    write_counts(tiny_trace(seed=2), other)
    assert _run("diff", counts_path, counts_path) == 0
    assert _run("diff", counts_path, other) == 1
    assert "header.seed" in capsys.readouterr().out
    assert _run("diff", counts_path, tmp_path / "absent") == 2


def test_diff_of_masks_names_the_first_vector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_published(tiny_masks(), tmp_path / "a.pth")
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    content["group_idx"]["o_proj"][1, 0, 5, 1] = 3
    torch.save(content, tmp_path / "b.pth")
    write_masks(tiny_masks(), tmp_path / "h.masks.pth")
    words = (tmp_path / "a.pth", tmp_path / "b.pth", "--header", tmp_path / "h.masks.pth", "--json")
    assert _run("diff", *words) == 1
    found = json.loads(capsys.readouterr().out)["differences"]
    assert [finding["place"] for finding in found] == ["sample 0, layer 1, o_proj, group_idx"]
    assert found[0]["second"] == "token 5, slice 1: 3"


def test_masks_and_their_counts_are_equal_to_diff(masks_path: Path, counts_path: Path) -> None:
    assert _run("diff", masks_path, counts_path) == 0


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("info", "validate", "convert", "diff"):
        assert _run(command, "--help") == 0
        assert "--json" in capsys.readouterr().out
