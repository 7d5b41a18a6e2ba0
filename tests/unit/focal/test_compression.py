"""Does a user's own loop leave the trace that ``focal trace`` writes, whatever family and call it uses?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import attach_support
import face_support as support
import focal
from focal.commands.running import run_command
from focal.commands.sim import app as sim
from focal.testing import prompts as family_support
from focal_algorithm.hooks import attach
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.tracing.runner import run as traced_run
from focal_algorithm.tracing.settings import RunSettings

SUFFIXES = (".counts.parquet", ".masks.pth", ".records.parquet", ".frames.zip")


def inputs(seed: int = 0, text: str = "<image>\nWhat?") -> Any:
    picture = attach_support.picture(seed, 100, 84)
    return support.stock_processor()(images=picture, text=text, return_tensors="pt")


@pytest.mark.parametrize("method", ["focus", "visionzip", "adaptiv"])
def test_the_files_are_those_of_focal_trace_byte_for_byte(tmp_path: Path, method: str) -> None:
    """The same model, pictures and questions, once through the runner and once through `focal.compress`."""
    pictures = [attach_support.picture(seed, 90, 100) for seed in (1, 2)]
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    given = {"model": "llava", "size": "tiny", "seed": 3, "dataset": "mine", "method": method}
    traced_run(
        RunSettings(
            output=tmp_path / "cli",
            images=tuple(paths),
            question="",
            new_tokens=1,
            keep_masks=True,
            keep_frames=True,
            **given,
        )
    )
    model, processor = focal.load_model("llava", size="tiny", seed=3)
    with focal.compress(model, method, dataset="mine") as run:
        for path in paths:
            model.generate(**processor("", images=path), max_new_tokens=1, do_sample=False)
    trace = run.trace(sample_ids=[path.name for path in paths])
    trace.save(tmp_path / "face")
    theirs = {path.name: path for path in (tmp_path / "cli").rglob("*") if path.is_file()}
    ours = {path.name: path for path in (tmp_path / "face").rglob("*") if path.is_file()}
    assert theirs.keys() == ours.keys()
    same = [name for name in theirs if name.endswith(SUFFIXES) or name.endswith(".csv")]
    assert len(same) == len(SUFFIXES) + 1 + (method == "adaptiv")
    for name in same:
        assert theirs[name].read_bytes() == ours[name].read_bytes(), name
    assert theirs["meta_data.csv"].parent.name == "cli"


def test_focal_trace_in_python_writes_what_the_command_writes(tmp_path: Path) -> None:
    settings = RunSettings(
        output=tmp_path / "cli",
        model="llava",
        size="tiny",
        samples=2,
        new_tokens=1,
        keep_masks=True,
        keep_frames=None,
    )
    result = traced_run(settings)
    trace = focal.trace("llava", size="tiny", samples=2, new_tokens=1)
    assert trace.notes == result.notes
    trace.save(tmp_path / "face")
    for path in result.files.values():
        other = tmp_path / "face" / path.relative_to(tmp_path / "cli")
        if not path.name.endswith(".manifest.json"):  # holds folder and clock
            assert path.read_bytes() == other.read_bytes(), path.name
    assert trace.answers == result.samples


def test_a_trace_in_memory_simulates_as_the_one_on_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = support.stock_model()
    with focal.compress(model, "adaptiv", threshold=0.05) as run:  # a method with a table of its own
        model(**inputs())
    trace = run.trace()
    found = focal.simulate(trace, "all")
    assert "adaptiv" in found.accelerators
    root = trace.save(tmp_path / "root")
    assert found.frame().equals(focal.simulate(root, "all").frame())
    assert found.notes == focal.simulate(root, "all").notes
    again = focal.Trace.open(next(root.glob("*/*.counts.parquet")))
    assert again.header == trace.header
    assert again.variant == trace.variant
    again.save(tmp_path / "copy")
    for suffix in SUFFIXES:
        one, two = (next((tmp_path / name).rglob(f"*{suffix}")) for name in ("root", "copy"))
        assert one.read_bytes() == two.read_bytes()
    found.save(tmp_path / "face")
    words = ["--trace", str(root), "--variant", "adaptiv", "--output", str(tmp_path / "cli")]
    assert run_command(sim, words) == 0
    capsys.readouterr()
    written = {path.name for path in (tmp_path / "cli").glob("*") if path.is_file()}
    assert written == {path.name for path in (tmp_path / "face").glob("*") if path.is_file()}
    for name in written - {".focal.lock"}:
        assert (tmp_path / "cli" / name).read_bytes() == (tmp_path / "face" / name).read_bytes(), name


@pytest.mark.parametrize(("family", "kind"), family_support.CASES)
def test_pictures_told_from_tensors_are_those_that_the_family_says(family: str, kind: str) -> None:
    loaded = family_support.tiny(family)
    sides = {"llava": (84, 84), "qwen2_5_vl": (112, 84), "qwen3_vl": (128, 96)}
    sample = (
        attach_support.image(1, *sides.get(family, (140, 140)))
        if kind == "image"
        else attach_support.video(1, 4)
    )
    prompt = build_prompt(loaded, sample, "What?")
    with focal.compress(loaded.model, "dense") as run:
        loaded.model(**prompt.inputs)
    trace = run.trace(sample_ids=[sample.sample_id])
    if family == "minicpm_v":
        assert trace.frames is None
        assert "gathers the patches of a picture" in " ".join(trace.notes)
        return
    assert prompt.frames is not None
    assert trace.frames is not None
    expected, found = prompt.frames(), trace.frames.samples[0]
    assert found is not None
    assert np.array_equal(found.cells, expected.cells)
    assert [one.label for one in found.pictures] == [one.label for one in expected.pictures]
    assert [one.png for one in found.pictures] == [one.png for one in expected.pictures]


def test_a_batch_with_padding_is_one_prefill_a_row() -> None:
    processor, model = support.stock_processor(), support.stock_model()
    pictures = [attach_support.picture(seed, 90, 84) for seed in (1, 2)]
    texts = ["<image>\nWhat?", "<image>\nWhat is this, and why?"]
    both = processor(images=pictures, text=texts, padding=True, padding_side="left", return_tensors="pt")
    with focal.compress(model, "visionzip") as run:
        model.generate(**both, max_new_tokens=2)
    batch = run.trace()
    with focal.compress(model, "visionzip") as run:
        for picture, text in zip(pictures, texts, strict=True):
            model.generate(**processor(images=picture, text=text, return_tensors="pt"), max_new_tokens=2)
    single = run.trace()
    assert [one.sample_id for one in batch.header.samples] == ["prompt 0", "prompt 1"]
    assert batch.header == single.header
    assert batch.frames is not None
    assert single.frames is not None
    for one, two in zip(batch.frames.samples, single.frames.samples, strict=True):
        assert one is not None
        assert two is not None
        assert [picture.png for picture in one.pictures] == [picture.png for picture in two.pictures]
        assert np.array_equal(one.cells, two.cells)


@pytest.mark.parametrize("method", ["focus", "visionzip"])
def test_an_image_in_tiles_is_known_to_generate_as_to_a_forward(method: str) -> None:
    model, processor = focal.load_model("llava_onevision", size="tiny", seed=7)
    given = processor("What?", images=attach_support.picture(3, 140, 70))
    with focal.compress(model, attach_support.suited(method)) as run, torch.no_grad():
        logits = model(**given).logits
        answer = model.generate(**given, max_new_tokens=1, return_dict_in_generate=True, output_logits=True)
    assert torch.allclose(answer.logits[0], logits[:, -1], atol=1e-5)
    first, second = run.trace().frames.samples
    assert [one.png for one in first.pictures] == [one.png for one in second.pictures]


def test_logits_are_those_of_attach_and_the_model_is_as_before() -> None:
    model, given = support.stock_model(), inputs()
    with torch.no_grad():
        before = model(**given).logits
    hooks = _hooks(model)  # transformers keeps some of its own after a first forward
    method = focal.method("visionzip", tokens=8)
    with focal.compress(model, method):
        compressed = model(**given).logits
    loaded = family_support.tiny("llava")
    with torch.no_grad(), attach(model, loaded.adapter, method):
        assert torch.equal(model(**given).logits, compressed)
    with torch.no_grad():
        assert torch.equal(model(**given).logits, before)
    assert not torch.equal(before[:, -1], compressed[:, -1])
    assert _hooks(model) == hooks


def _hooks(model: Any) -> int:
    return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())


def test_a_budget_in_tokens_is_that_of_the_parameters() -> None:
    assert focal.method("visionzip", tokens=64) == focal.VisionZip(dominant=54, contextual=10)
    assert focal.method("focus", m_tile=32) == focal.Focus(m_tile=32)


def test_only_the_first_pictures_are_kept() -> None:
    model = support.stock_model()
    with focal.compress(model, "dense", keep_masks=False) as run:
        for _ in range(9):
            model(**inputs())
    trace = run.trace()
    assert trace.frames is not None
    assert trace.masks is None
    assert [one is None for one in trace.frames.samples] == [False] * 8 + [True]
    assert "only those of the first 8 prefills are kept" in " ".join(trace.notes)


def test_a_trace_shows_and_tabulates_itself(tmp_path: Path) -> None:
    model = support.stock_model()
    traces = []
    for method in ("visionzip", "focus"):
        with focal.compress(model, method) as run:
            model(**inputs())
        traces.append(run.trace())
    overlay = traces[0].show(0)
    states = overlay.counts()
    assert sum(states.values()) == 36  # 6 x 6 patches of the tiny tower
    assert overlay._repr_png_().startswith(b"\x89PNG")
    assert "<iframe" in overlay._repr_html_()
    assert overlay.save(tmp_path / "one.png").read_bytes() == overlay._repr_png_()
    assert "A: " in repr(traces[0].show(against=traces[1]))
    table = traces[0].frame()
    assert table["visual_tokens"].tolist() == [36]
    assert table["is_chosen"].tolist() == [True]
    kept = 36 - states["merged away"] - states["dropped"]
    assert table["present_tokens"].tolist() == [kept]
    assert table["vector_sparsity"].tolist() == pytest.approx([1 - kept / 36])
    assert "visionzip on llava/python" in traces[0]._repr_html_()
