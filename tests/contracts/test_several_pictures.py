"""Prompts with several images and videos: each is a picture of its own to a method, in every family that takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import conformance
import pytest
import torch
from torch import Tensor

import focal
from focal.testing.prompts import image, padded, tiny, video
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream, changes_length
from focal_algorithm.methods.dense import Dense
from focal_algorithm.methods.focus import Focus
from focal_algorithm.models import MODELS
from focal_algorithm.prompts.media import MediaSample
from focal_algorithm.tracing.prompting import Prompt, token_types, visual_part
from focal_traces.files.store import read_any

_FAMILIES = {
    "gemma3": (image(1), image(2), image(3)),
    "internvl": (image(1, 150, 70), image(2), image(3, 64, 190)),
    "llava": (image(1), image(2)),
    "llava_next": (image(1, 150, 70), image(2, 70, 140), image(3, 64, 190)),
    "llava_onevision": (image(1, 150, 70), video(2), image(3, 70, 140)),
    "llava_video": (video(1), video(2)),
    "minicpm_v": (image(1), image(2)),
    "qwen2_5_vl": (video(1), image(2, 140, 84)),
    "qwen3_vl": (image(1, 112, 84), video(2), video(3)),
    "smolvlm": (image(1, 112, 84), video(2), image(3, 64, 190)),
}
"""What a prompt of each family holds here."""

_KEEP_EVERYTHING = Focus(
    selected_layers=(), alpha_list=(), similarity_threshold=1.0, block_size=1, frame_block_size=1
)


def test_every_family_is_here() -> None:
    assert set(_FAMILIES) == set(MODELS)


def joined(loaded: LoadedModel, samples: tuple[MediaSample, ...], question: str = "What?") -> Prompt:
    """Return a prompt with some text before each picture."""
    before, after = loaded.adapter.prompt_text(question)
    token_ids, parts = loaded.tokenizer.encode(before), []
    for number, sample in enumerate(samples):
        part = visual_part(loaded, sample)
        parts.append(part.inputs)
        token_ids += loaded.tokenizer.encode(f" see {number}: " if number else "")
        for piece in part.pieces:
            is_text = isinstance(piece, str)
            token_ids += loaded.tokenizer.encode(piece) if is_text else [piece.token_id] * piece.tokens
    rows = torch.tensor([token_ids + loaded.tokenizer.encode(after)])
    inputs = {"input_ids": rows, "attention_mask": torch.ones_like(rows), **token_types(loaded.model, rows)}
    for name in dict.fromkeys(name for part in parts for name in part):
        inputs[name] = _stacked([part[name] for part in parts if name in part])
    return Prompt(inputs, loaded.adapter.layouts(loaded.model, inputs, ["several"])[0])


def _stacked(parts: list[Tensor]) -> Tensor:
    """Return pixels side by side; pictures of other sizes end with zeros, as stock processors pad them."""
    shape = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].ndim)]
    grown = []
    for part in parts:
        pads = [
            pad for size, have in zip(shape[::-1], part.shape[:0:-1], strict=True) for pad in (0, size - have)
        ]
        grown.append(torch.nn.functional.pad(part, pads))
    return torch.cat(grown)


def run(
    loaded: LoadedModel, method: CompressionMethod, inputs: dict[str, Any]
) -> tuple[list[RecordedSample], Any]:
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder):
        output = loaded.model(**inputs, use_cache=True)
    return recorder.samples, output


@pytest.mark.parametrize("family", _FAMILIES)
def test_dense_and_strength_zero_give_the_logits_of_the_untouched_model_to_the_bit(family: str) -> None:
    loaded = tiny(family)
    prompt = joined(loaded, _FAMILIES[family])
    with torch.inference_mode():
        untouched = loaded.model(**prompt.inputs).logits
    for method in (Dense(), _KEEP_EVERYTHING):
        (sample,), output = run(loaded, method, prompt.inputs)
        assert torch.equal(output.logits, untouched)
        assert len(sample.header.pictures) == len(_FAMILIES[family])


@pytest.mark.parametrize("family", _FAMILIES)
def test_each_picture_has_the_grid_that_it_has_alone(family: str) -> None:
    loaded = tiny(family)
    layout = joined(loaded, _FAMILIES[family]).layout
    assert layout.visual_tokens == sum(part.visual_tokens for part in layout.parts)
    for before, after in pairwise(layout.parts):
        assert before.visual_stop < after.visual_start
    for part, sample in zip(layout.parts, _FAMILIES[family], strict=True):
        alone = joined(loaded, (sample,)).layout
        assert (part.grid, part.visual_tokens) == (alone.grid, alone.visual_tokens)
        assert part.query_tokens == layout.query_tokens
        assert not alone.pictures


@pytest.mark.parametrize("family", ["llava", "llava_next", "llava_onevision"])
def test_images_side_by_side_are_told_apart(family: str) -> None:
    loaded = tiny(family)
    samples = (image(1, 150, 70), image(2, 70, 140))
    apart = joined(loaded, samples)
    first, second = apart.layout.parts
    gap = torch.ones_like(apart.inputs["input_ids"], dtype=torch.bool)
    gap[0, first.visual_stop : second.visual_start] = False
    inputs = {
        name: value[gap][None] if value.shape == gap.shape else value for name, value in apart.inputs.items()
    }
    (layout,) = loaded.adapter.layouts(loaded.model, inputs)
    assert [part.grid for part in layout.parts] == [first.grid, second.grid]
    assert layout.parts[1].visual_start == first.visual_stop


@dataclass(frozen=True, kw_only=True)
class _HalvePictures(CompressionMethod):
    """Drops the odd tokens of each picture before layer 1, and merges the second one of each into its first."""

    name: ClassVar[str] = "toy"

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        if layer != 1:
            return None
        rows = stream.keeping(torch.arange(len(stream.visual_rows))[::2])
        merged = hidden.clone()
        merged[stream.visual_rows[0]] += hidden[stream.visual_rows[1]]
        return Resequenced(rows, merged[rows])


@dataclass(frozen=True, kw_only=True)
class _HalveInside(_HalvePictures):
    """Does the same between attention and MLP, where the changes of all pictures are carried out together."""

    def after_attention(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: Any
    ) -> Resequenced | None:
        return _HalvePictures.before_layer(self, layer, hidden, stream, state)

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        return None


@pytest.mark.parametrize("method", [_HalvePictures(), _HalveInside()], ids=["input", "inside"])
@pytest.mark.parametrize("family", _FAMILIES)
def test_changes_of_all_pictures_are_carried_out(family: str, method: CompressionMethod) -> None:
    """Against one change of the whole prompt, made by hand in a plain hook."""
    loaded = tiny(family)
    prompt = joined(loaded, _FAMILIES[family])
    dropped = [
        part.visual_start + place for part in prompt.layout.parts for place in range(1, part.visual_tokens, 2)
    ]
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method) as session:
        loaded.model(**prompt.inputs)
        kept = session.positions()[0].tolist()
    everything = range(prompt.layout.sequence_tokens)
    assert kept == [token for token in everything if token not in set(dropped)]
    states: dict[str, Tensor] = {}
    point = loaded.adapter.points(loaded.model).layers[1]
    place = point.mlp_norm if isinstance(method, _HalveInside) else point.layer

    def note(name: str) -> Any:
        def hook(_module: Any, args: Any, inputs: Any) -> None:
            states[name] = (args[0] if args else inputs["hidden_states"])[0].clone()

        return place.register_forward_pre_hook(hook, with_kwargs=True)

    handle = note("plain")
    with torch.inference_mode():
        loaded.model(**prompt.inputs)
    handle.remove()
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method):
        handle = note("changed")
        loaded.model(**prompt.inputs)
        handle.remove()
    want = states["plain"].clone()
    for part in prompt.layout.parts:
        want[part.visual_start] += states["plain"][part.visual_start + 1]
    assert torch.allclose(states["changed"], want[kept], atol=1e-5)


@pytest.mark.parametrize("family", _FAMILIES)
@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_decodes_as_it_recomputes_and_each_row_is_what_it_is_alone(
    name: str, family: str
) -> None:
    subject = f"{family}+{'video' if _FAMILIES[family][0].is_video else 'image'}"
    kinds = {"video" if sample.is_video else "image" for sample in _FAMILIES[family]}
    if reason := next(
        filter(None, (conformance.refusal(name, f"{family}+{kind}") for kind in sorted(kinds))), ""
    ):
        pytest.skip(f"refused: {reason}")
    loaded = conformance.model_of(subject)
    method = conformance.method_of(name, loaded)
    prompts = [joined(loaded, _FAMILIES[family]), joined(loaded, _FAMILIES[family][:1], "And what is this?")]
    options = {"max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False, "output_logits": True}
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder) as session:
        cached, recomputed = (
            torch.stack(
                loaded.model.generate(
                    **prompts[0].inputs, **options, return_dict_in_generate=True, use_cache=use_cache
                ).logits
            )
            for use_cache in (True, False)
        )
        assert (cached - recomputed).abs().max() <= 1e-5 * cached.abs().max()
        alone = [loaded.model(**prompt.inputs).logits[0, -1] for prompt in prompts]
        if changes_length(method):
            assert session.positions().shape[1] <= prompts[1].layout.sequence_tokens
        together = loaded.model(**padded(prompts, "left")).logits[:, -1]
        assert torch.allclose(together, torch.stack(alone), atol=1e-5)
    several = recorder.samples[0]
    assert several.masks is None
    assert several.header.visual_tokens == prompts[0].layout.visual_tokens


@pytest.mark.parametrize("name", ["visionzip", "divprune"])
def test_a_method_that_reads_no_question_keeps_of_each_picture_what_it_keeps_of_it_alone(name: str) -> None:
    loaded = tiny("llava")
    method = conformance.method_of(name, loaded)

    def kept(samples: tuple[MediaSample, ...]) -> list[list[int]]:
        prompt = joined(loaded, samples)
        with torch.inference_mode(), attach(loaded.model, loaded.adapter, method) as session:
            loaded.model(**prompt.inputs)
            columns = session.positions(0)[0].tolist()
        return [
            [
                column - part.visual_start
                for column in columns
                if part.visual_start <= column < part.visual_stop
            ]
            for part in prompt.layout.parts
        ]

    first, second = _FAMILIES["llava"]
    assert kept((first, second)) == kept((first,)) + kept((second,))


def test_the_trace_says_which_token_belongs_to_which_picture(tmp_path: Any) -> None:
    model, _ = focal.load_model("llava_onevision", size="tiny", seed=7)
    loaded = tiny("llava_onevision")
    several, one = (
        joined(loaded, _FAMILIES["llava_onevision"]),
        joined(loaded, _FAMILIES["llava_onevision"][:1]),
    )
    method = replace(conformance.method_of("focus", loaded), vector_size=32, m_tile=1024)
    with focal.compress(model, method) as run:
        model(**several.inputs)
        model(**one.inputs)
    trace = run.trace()
    assert trace.header.schema_version == 2
    assert "a prompt holds several pictures" in " ".join(trace.notes)
    first, second = trace.header.samples
    assert [(span.visual_start, span.visual_tokens, span.grid) for span in first.pictures] == [
        (part.visual_start, part.visual_tokens, part.grid) for part in several.layout.parts
    ]
    assert second.pictures == ()
    assert first.query_tokens == several.layout.query_tokens
    trace.save(tmp_path)
    (path,) = tmp_path.rglob("*.counts.parquet")
    assert read_any(path)[1].header.samples == trace.header.samples
    results = focal.simulate(trace, ["dense", "focus"])
    assert results.speedup("focus", over="dense") > 0
    with focal.compress(model, conformance.method_of("focus", loaded)) as run:
        model(**one.inputs)
    assert run.trace().header.schema_version == 1
