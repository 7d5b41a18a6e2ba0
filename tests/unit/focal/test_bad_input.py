"""Are mistakes refused in one sentence that holds no option of the command line?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertConfig, BertModel

import attach_support
import face_support as support
import focal
from focal.commands.running import run_command
from focal.commands.sim import app as sim
from focal_common.errors import ConfigError, FocalError, RunError, TraceError, UnsupportedError
from focal_traces.header.schema import SCHEMA_VERSION


def inputs(seed: int = 0) -> Any:
    picture = attach_support.picture(seed, 100, 84)
    return support.stock_processor()(images=picture, text="<image>\nWhat?", return_tensors="pt")


def a_trace(method: Any = "focus") -> focal.Trace:
    model = support.stock_model()
    with focal.compress(model, method) as run:
        model(**inputs())
    return run.trace()


def test_a_model_of_no_known_family() -> None:
    bert = BertModel(
        BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )
    sentence = r"BertModel: no adapter for model_type 'bert'; supported families: gemma3, internvl, "
    with pytest.raises(UnsupportedError, match=sentence), focal.compress(bert, "focus"):
        pass
    with pytest.raises(UnsupportedError, match=sentence):
        focal.supports(bert, "focus")
    with pytest.raises(ConfigError, match="expected a transformers model"), focal.compress(object(), "focus"):
        pass


def test_a_model_that_is_attached_already() -> None:
    model = support.stock_model()
    with (
        focal.compress(model, "focus"),
        pytest.raises(UnsupportedError, match="a method is attached to this model already"),
        focal.compress(model, "visionzip"),
    ):
        pass
    with focal.compress(model, "visionzip") as run:  # the first block left nothing behind
        model(**inputs())
    assert len(run) == 1


def test_a_pair_that_cannot_work_is_refused_with_the_sentence_of_supports() -> None:
    model = support.stock_model()
    found = focal.supports(model, "cmc")
    assert not found
    assert str(found).startswith("CMC searches motion between frames")
    assert focal.supports(model, "focus")
    assert str(focal.supports(model, "focus")) == "yes"
    with pytest.raises(FocalError, match="CMC searches motion") as caught, focal.compress(model, "cmc"):
        model(**inputs())
    assert str(caught.value).removeprefix("0: ") == str(found)


def test_a_trace_of_a_newer_schema_is_refused_as_the_command_line_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_trace().save(tmp_path)
    path = next(tmp_path.glob("*/*.counts.parquet"))
    table = pq.read_table(path)
    newer = dict(table.schema.metadata) | {b"focal.schema_version": str(SCHEMA_VERSION + 1).encode()}
    assert newer.keys() == table.schema.metadata.keys()
    pq.write_table(table.replace_schema_metadata(newer), path)
    with pytest.raises(TraceError, match="schema") as caught:
        focal.simulate(path, ["dense"])
    with pytest.raises(TraceError):
        focal.Trace.open(path)
    assert run_command(sim, ["--trace", str(path), "--accelerator", "dense"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.removeprefix("error: ") == " ".join(str(caught.value).split())


def test_a_result_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such result folder"):
        focal.Results.open(tmp_path / "nothing")
    (tmp_path / "some.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(TraceError, match="expected a result folder of focal sim"):
        focal.Results.open(tmp_path)
    with pytest.raises(TraceError, match="no such file"):
        focal.simulate(tmp_path / "nothing", ["dense"])
    with pytest.raises(TraceError, match=r"meta_data\.csv"):
        focal.simulate(tmp_path, ["dense"])


def two_pictures_with_one_id() -> list[focal.Sample]:
    pictures = [attach_support.picture(seed, 64, 64) for seed in range(2)]
    return [focal.Sample("a", (picture,), False, "Is it red?", "yes", ("yes", "no")) for picture in pictures]


NAMES: list[tuple[Callable[[], Any], str]] = [
    (lambda: focal.method("visonzip"), "did you mean 'visionzip'"),
    (lambda: focal.method("visionzip", dominat=3), "did you mean 'dominant'"),
    (lambda: focal.method("visionzip", dominant="x"), "must be a whole number such as 54, got 'x'"),
    (
        lambda: focal.method("visionzip", tokens=32, dominant=3),
        "tokens=32 sets contextual, dominant, scale_by_tokens, and dominant was given beside it",
    ),
    (lambda: focal.supports("llava", focal.VisionZip), "got the class VisionZip; Valid: adaptiv"),  # type: ignore[arg-type]
    (lambda: focal.compress(support.stock_model(), 3).__enter__(), "expected a name or a method"),  # type: ignore[arg-type]
    (lambda: focal.method("focus", tokens=64), "is not set by a number of visual tokens"),
    (lambda: focal.load_model("shapes_vido"), "did you mean 'shapes_video'"),
    (lambda: focal.load_model(None), "expected a name or a folder, got None"),  # type: ignore[arg-type]
    (lambda: focal.load_model("llava", dtype=torch.float32), "unknown dtype 'torch.float32'; "),  # type: ignore[arg-type]
    (lambda: focal.accelerator("focs"), "did you mean 'focus'"),
    (lambda: focal.accelerator("dense", core={"array_row": 8}), "did you mean 'array_rows'"),
    (lambda: focal.simulate(support.PUBLISHED, ["dens"]), "did you mean 'dense'"),
    (lambda: focal.simulate(support.PUBLISHED, ["dense"], sram="cati"), "did you mean 'cacti'"),
    (lambda: focal.simulate(support.PUBLISHED, ["dense"], fidelity="cycles"), "did you mean 'cycle'"),
    (
        lambda: focal.simulate(support.PUBLISHED, ["dense"], corrections="dram_enrgy"),
        "did you mean 'dram_energy'",
    ),
    (lambda: focal.simulate(support.PUBLISHED, ["dense"], models=["llava_vd"]), "did you mean 'llava_vid'"),
    (
        lambda: focal.simulate(support.PUBLISHED, ["dense"], models=["llava_vid", "minicpm"]),
        "no workload of model 'minicpm'; did you mean 'minicpm_v'",
    ),
    (lambda: focal.simulate(support.PUBLISHED, ["dense"], datasets="vidomme"), "did you mean 'videomme'"),
    (lambda: focal.simulate(support.PUBLISHED, 3), "accelerators: expected names or values of"),  # type: ignore[arg-type]
    (lambda: focal.simulate(support.PUBLISHED, []), "expected at least one name"),
    (lambda: focal.simulate(3, ["dense"]), "expected a trace, a trace file, a trace root or a list of GEMMs"),
    (lambda: focal.samples("shapes-vido"), "did you mean 'shapes-video'"),
    (lambda: focal.trace("shapes_image", task="shapes-pop"), "did you mean 'shapes-pope'"),
    (lambda: focal.supports("lava", "focus"), "did you mean 'llava'"),
    (lambda: focal.compare_methods("shapes_image", "shapes-pope", ["fokus"]), "did you mean 'focus'"),
    (lambda: focal.compare_methods("shapes_image", [], ["focus"]), "expected at least one question"),
    (lambda: focal.compare_methods("shapes_image", [1], ["focus"]), "values of focal.Sample, got 1"),  # type: ignore[list-item]
    (
        lambda: focal.compare_methods("shapes_image", two_pictures_with_one_id(), ["focus"]),
        "share the sample_id 'a'",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), NAMES)
def test_names_with_near_matches(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(FocalError, match=sentence) as caught:
        call()
    assert "--" not in str(caught.value)


def test_a_run_without_a_prefill_and_a_call_after_its_end() -> None:
    model = support.stock_model()
    with focal.compress(model, "focus") as run:
        pass
    with pytest.raises(RunError, match="no prefill was recorded"):
        run.trace()
    with pytest.raises(RunError, match="inside its 'with' block"):
        run.positions()
    with (
        pytest.raises(ConfigError, match="parameters go with a method given by name"),
        focal.compress(model, focal.method("focus"), m_tile=32),
    ):
        pass


def test_names_of_samples_must_fit_the_prefills() -> None:
    model = support.stock_model()
    with focal.compress(model, "focus") as run:
        model(**inputs())
    for names in (["a", "b"], []):
        with pytest.raises(ConfigError, match="expected one of its own for each"):
            run.trace(sample_ids=names)


def test_a_trace_without_pictures_says_why() -> None:
    found = focal.Trace(a_trace().counts, "focus_main")
    with pytest.raises(TraceError, match="no pictures to draw on"):
        found.show()
    with pytest.raises(ConfigError, match="against: expected a trace"):
        found.show(against="another.counts.parquet")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="the trace has layers 0 to 3"):
        a_trace().show(layer=4)
    with pytest.raises(ConfigError, match="did you mean 'prompt 0'"):
        a_trace().show("prompt0")
    with pytest.raises(ConfigError, match="expected a name that ends in"):
        a_trace().show().save("overlay.bmp")


def test_one_model_or_dataset_may_be_given_as_a_text() -> None:
    found = focal.simulate(support.PUBLISHED, "dense", models="llava_vid", datasets="videomme")
    assert len(found) == 1
    assert found.frame()[["model", "dataset"]].values.tolist() == [["llava_vid", "videomme"]]


def test_a_run_is_asked_for_outside_its_block() -> None:
    block = focal.compress(support.stock_model(), "focus")
    with pytest.raises(AttributeError, match=r"with its 'trace', in a with block only: with focal.compress"):
        block.trace()  # type: ignore[attr-defined]


def test_a_size_of_a_model_that_has_none() -> None:
    with pytest.raises(
        ConfigError, match=r"size is 'tiny', but only families .* leave it out for 'shapes_video'"
    ):
        focal.load_model("shapes_video", size="tiny")
    with pytest.raises(ConfigError, match="leave it out for 'shapes_image'"):
        focal.trace("shapes_image", size="small", task="shapes-pope")


@pytest.mark.parametrize("option", ["questions", "samples"])
def test_no_questions_are_not_the_usual_number(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} must be at least 1, got 0"):
        focal.trace("shapes_video", task="shapes-video", **{option: 0})  # type: ignore[arg-type]
