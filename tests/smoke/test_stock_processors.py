"""Do the shipped models work in transformers' own processors and pipelines as in Focal's?"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, pipeline

import focal
from focal_algorithm.models.weights import MANIFEST, SHIPPED, check_weights
from focal_algorithm.training.export import write_manifest, write_processor
from focal_algorithm.training.recipe import recipe

QUESTIONS = 12
HAS_TORCHVISION = find_spec("torchvision") is not None
"""Then stock processors resize with torch, a level beside Pillow here and there, and round in another order."""


def message(question: str, **shown: Any) -> list[dict[str, Any]]:
    """Return a chat whose picture comes last: the template puts it before the question."""
    ((kind, medium),) = shown.items()
    return [{"role": "user", "content": [{"type": "text", "text": question}, {"type": kind, kind: medium}]}]


def stock_inputs(stock: Any, chat: list[dict[str, Any]]) -> Any:
    return stock.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")


def pictures() -> Iterator[Image.Image]:
    """Yield pictures of sizes in which stock pixels are ours: with torchvision, those that nothing resizes."""
    generator = np.random.default_rng(0)
    yield Image.fromarray(generator.integers(0, 256, (96, 96, 3), dtype=np.uint8))
    if HAS_TORCHVISION:
        return
    for width, height in ((97, 96), (640, 480), (33, 211), (50, 50), (2, 3)):
        yield Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_stock_ids_and_pixels_of_the_picture_model_are_ours() -> None:
    _, own = focal.load_model("shapes_image")
    stock = AutoProcessor.from_pretrained(focal.shipped_model("shapes_image"))
    for picture in pictures():
        question = "is there a red ring left of the square ?"
        ours, theirs = own(question, images=picture), stock_inputs(stock, message(question, image=picture))
        assert torch.equal(ours["input_ids"], theirs["input_ids"])
        assert torch.equal(ours["attention_mask"], theirs["attention_mask"])
        assert theirs["pixel_values"].shape == (1, 3, 96, 96)
        # One level of 255 is 0.015 or more here: rounding, never another level.
        assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["", "focus", "visionzip"])
def test_the_pipeline_answers_as_our_processor_does(method: str) -> None:
    pipe = pipeline("image-text-to-text", model=str(focal.shipped_model("shapes_image")))
    model, own = focal.load_model("shapes_image")
    asked = focal.samples("shapes-pope", QUESTIONS // 2) + focal.samples("shapes-mme", QUESTIONS // 2)
    with focal.compress(pipe.model, method) if method else nullcontext() as run:
        piped = [
            pipe(text=message(one.question, image=one.pictures[0]), max_new_tokens=4, return_full_text=False)
            for one in asked
        ]
    answers = []
    with focal.compress(model, method) if method else nullcontext() as own_run:
        for one in asked:
            inputs = own(one.question, **one.media)
            output = model.generate(**inputs, max_new_tokens=4)
            answers.append(own.decode(output[0, inputs["input_ids"].shape[1] :]))
    assert [one[0]["generated_text"].strip() for one in piped] == [answer.strip() for answer in answers]
    if run is not None and own_run is not None:
        # Counts of similar vectors may differ by one where pixels differ in the eighth digit.
        assert HAS_TORCHVISION or run.trace().frame().equals(own_run.trace().frame())
    else:
        right = sum(answer.strip() == one.answer for answer, one in zip(answers, asked, strict=True))
        assert right >= QUESTIONS - 2  # 0.98 of all, says its card


def test_the_template_knows_one_question_and_says_so() -> None:
    stock = AutoProcessor.from_pretrained(focal.shipped_model("shapes_image"))
    picture = next(pictures())
    chat = message("is there a ring ?", image=picture)
    for wrong in (
        [*chat, {"role": "assistant", "content": "yes"}],
        [{"role": "system", "content": "Be brief."}],
    ):
        with pytest.raises(
            Exception, match="knows one question a prompt; expected a single message, of the user"
        ):
            stock_inputs(stock, wrong)


@pytest.mark.skipif(
    HAS_TORCHVISION, reason="this model resizes every picture, with torchvision by other arithmetic"
)
def test_stock_pixels_of_pictures_for_the_video_model_are_ours() -> None:
    _, own = focal.load_model("shapes_video")
    stock = AutoImageProcessor.from_pretrained(focal.shipped_model("shapes_video"))
    for picture in pictures():
        ours, theirs = own("what ?", images=picture), stock(picture, return_tensors="pt")
        assert ours["image_sizes"].tolist() == theirs["image_sizes"].tolist()
        assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], rtol=0, atol=1e-5)


@pytest.mark.external
def test_the_stock_processor_of_the_video_model_gives_our_inputs() -> None:
    pytest.importorskip("torchvision", reason="stock video processors need torchvision beside its own torch")
    model, own = focal.load_model("shapes_video")
    stock = AutoProcessor.from_pretrained(focal.shipped_model("shapes_video"))
    for one in focal.samples("shapes-video", 3):
        clip = np.stack([np.asarray(frame) for frame in one.pictures])
        ours, theirs = own(one.question, **one.media), stock_inputs(stock, message(one.question, video=clip))
        assert torch.equal(ours["input_ids"], theirs["input_ids"])
        assert torch.allclose(ours["pixel_values_videos"], theirs["pixel_values_videos"], rtol=0, atol=1e-5)
        outputs = [model.generate(**inputs, max_new_tokens=2).tolist() for inputs in (ours, theirs)]
        assert outputs[0] == outputs[1]


@pytest.mark.parametrize("name", SHIPPED)
def test_training_writes_the_processor_files_that_ship(name: str, tmp_path: Path) -> None:
    shipped = focal.shipped_model(name)
    shutil.copy(shipped / "config.json", tmp_path)
    write_processor(recipe(name.removeprefix("shapes_")), tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"preprocessor_config.json", "processor_config.json", "chat_template.jinja"} <= written.keys()
    assert written == {one: (shipped / one).read_bytes() for one in written}
    assert written.keys() <= json.loads((shipped / MANIFEST).read_text())["sha256"].keys()
    (tmp_path / "model.safetensors").touch()
    write_manifest(tmp_path, {})
    check_weights(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(focal.ConfigError, match=r"chat_template\.jinja: does not have the sha256"):
        check_weights(tmp_path)


def test_the_folder_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(focal.ConfigError, match=r"unknown shipped model 'shape_image'.*shapes_image"):
        focal.shipped_model("shape_image")
