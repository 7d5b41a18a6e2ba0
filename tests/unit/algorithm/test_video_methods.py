"""Methods for videos: what they refuse and in which words, text between frames, and decode steps of shared caches."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import attach_support as support
from contracts.conformance import model_of, prompt_of
from focal.testing.methods import present_tokens, run
from focal_algorithm.hooks import attach
from focal_algorithm.kernels.visionzip import attention_of_mean_query
from focal_algorithm.methods.base import TokenStream
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.fastvid import FastVid
from focal_algorithm.methods.video import VideoFrames
from focal_algorithm.prompts.layout import SampleLayout, token_grid
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import ConfigError, FocalError, UnsupportedError

VIDEO = ("dycoke", "evs", "fastvid", "holitom")


def prefilled(name: str, frames: int, **parameters: Any) -> Any:
    loaded = support.tiny()
    prompt = build_prompt(loaded, support.video(frames=frames), "What?")
    method = build_method(name, {**support.SMALL.get(name, {}), **parameters})
    return run(loaded, method, [prompt])


# --- refusals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIDEO)
def test_a_single_frame_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(UnsupportedError, match="expected a video of at least two frames") as refusal:
        prefilled(name, 1)
    assert "\n" not in str(refusal.value)
    assert "video0" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("evs", {"pruning_rate": 1.0}, r"pruning_rate must lie in \[0, 1\), got 1.0"),
        ("evs", {"pruning_rate": float("nan")}, "'pruning_rate' is nan, expected finite numbers"),
        ("evs", {"keep_tokens": -1}, "keep_tokens must be at least 0, got -1"),
        ("evs", {"keep_tokens": 8}, "8 tokens of a video of 4 frames of 9; expected 9, .* to 36"),
        ("evs", {"keep_tokens": 37}, "37 tokens of a video of 4 frames of 9; expected 9, .* to 36"),
        (
            "fastvid",
            {"retain_ratio": 0.1},
            "0.1 of a frame of 9 tokens is below one token; expected at least 0.11",
        ),
        ("fastvid", {"retain_ratio": 1.5}, r"retain_ratio must lie in \(0, 1\], got 1.5"),
        ("fastvid", {"merged_share": -0.1}, "merged_share must lie"),
        ("fastvid", {"segments": 0}, "segments must be at least 1"),
        ("fastvid", {"anchor_step": 0}, "anchor_step must be at least 1"),
        ("fastvid", {"variant": "serial"}, "variant must be parallel, shared or sampled, got 'serial'"),
        ("holitom", {"retain_ratio": 0.02}, "0.02 of 36 tokens is below one token; expected at least 0.028"),
        ("holitom", {"inner_layer": 4}, "before layer 4, but the decoder has 4; expected at most 3"),
        ("holitom", {"inner_ratio": 1.0}, r"inner_ratio must lie in \[0, 1\), got 1.0"),
        ("dycoke", {"layer": 0}, "layer must be at least 1, got 0"),
        ("dycoke", {"layer": 4}, "from layer 4, but the decoder has 4; expected at most 3"),
        ("dycoke", {"merging_ratio": 1.1}, "merging_ratio must lie"),
        (
            "dycoke",
            {"mode": "compatible"},
            "fails on a video of 4 frames; expected at least 5, or mode=strict",
        ),
    ],
)
def test_a_budget_that_cannot_be_is_refused_in_one_sentence(
    name: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises((ConfigError, UnsupportedError), match=words) as refusal:
        prefilled(name, 4, **parameters)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", VIDEO)
def test_embeddings_that_are_no_numbers_are_refused(name: str) -> None:
    grid = token_grid(6, 2, 3)
    layout = SampleLayout("clip", 40, 2, 36, grid)
    stream = TokenStream.of(layout, torch.arange(40))
    hidden = torch.randn(40, 8)
    hidden[9, 3] = torch.nan
    method = build_method(
        name, {"mode": "strict", **({"segments": 2, "retain_ratio": 0.5} if name == "fastvid" else {})}
    )
    state = method.start(support.tiny().geometry, layout)
    if state is not None:
        state.saliency = [torch.rand(6)] * 6
    with pytest.raises(FocalError, match=f"of {name} are NaN") as refusal:
        method.before_layer(0, hidden, stream, state)
    assert "\n" not in str(refusal.value)


def test_evs_says_where_the_first_frame_keeps_a_rate_from_being_reached() -> None:
    with pytest.warns(UserWarning, match=r"first of 4 frames, so 75.0% of the tokens go, not 90.0%"):
        prefilled("evs", 4, pruning_rate=0.9, mode="strict")


def test_frames_among_other_tokens_that_no_one_places_are_refused() -> None:
    layout = SampleLayout("clip", 100, 2, 63, token_grid(9, 2, 2, frame_stride=19))
    with pytest.raises(UnsupportedError, match="other tokens lie among those of its frames"):
        VideoFrames.of(layout, "EVS")


# --- text between frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VIDEO)
def test_text_between_frames_stays_and_every_token_is_told_once(name: str) -> None:
    subject = "qwen3_vl+video"
    loaded = model_of(subject)
    prompt = prompt_of(subject, loaded)
    (sample,), _, _ = run(loaded, build_method(name, support.SMALL.get(name, {})), [prompt])
    ids = prompt.inputs["input_ids"][0].tolist()
    start, stop = prompt.layout.visual_start, prompt.layout.visual_stop
    marks = {place for place in range(start, stop) if ids[place] != loaded.model.config.video_token_id}
    present = set(present_tokens(sample)[3, "layer_input"])
    assert marks < present
    assert len(present - marks) < sample.header.sequence_tokens - len(marks)


def test_frames_lie_where_the_time_marks_leave_them() -> None:
    loaded = model_of("qwen3_vl+video")
    prompt = build_prompt(
        loaded, support.video(frames=24), "What?"
    )  # the words of a time get longer at 10 seconds
    frames = VideoFrames.of(prompt.layout, "EVS")
    own = prompt.inputs["input_ids"][0, prompt.layout.visual_start : prompt.layout.visual_stop]
    is_video = own == loaded.model.config.video_token_id
    assert len(set(frames.cells[:, 0].diff().tolist())) > 1
    assert torch.equal(frames.cells.flatten(), is_video.nonzero().flatten())


# --- decode -----------------------------------------------------------------------------------------------


def step(cache: Any, token_ids: Tensor) -> Tensor:
    found: Tensor = support.tiny().model(input_ids=token_ids, **{cache_name(): cache}).logits[:, -1]
    return found


def test_notes_of_decode_steps_follow_copies_repeats_and_choices_of_rows() -> None:
    loaded, method = support.tiny(), support.suited("dycoke")
    inputs = support.prompt(support.video(1, frames=8)).inputs
    tokens = torch.tensor([[70, 90, 71], [80, 81, 82]])

    def alone(row: list[int]) -> list[Tensor]:
        cache = cache_of(loaded.model(**inputs, use_cache=True))
        return [step(cache, torch.tensor([[token]]))[0] for token in row]

    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method):
        want = [alone(row) for row in tokens.tolist()]
        cache = cache_of(loaded.model(**inputs, use_cache=True))
        before = step(cache, tokens[:1, :1])
        torch.testing.assert_close(before[0], want[0][0])
        copied = copy.deepcopy(cache)
        step(copied, torch.tensor([[99]]))  # goes on apart
        repeated = copy.deepcopy(cache)
        repeated.batch_repeat_interleave(2)
        both = step(repeated, torch.tensor([[90], [99]]))
        torch.testing.assert_close(both[0], want[0][1], rtol=1e-4, atol=1e-5)
        notes = repeated.layers[0].notes[0]
        assert notes.shape[:2] == (2, 2)
        assert not torch.equal(notes[0], notes[1])
        repeated.batch_select_indices(torch.tensor([1, 0]))
        assert torch.equal(repeated.layers[0].notes[0], notes.flip(0))
        repeated.reorder_cache(torch.tensor([1, 1]))
        assert torch.equal(repeated.layers[0].notes[0], notes[[0, 0]])
        last = step(repeated, torch.tensor([[71], [72]]))
        torch.testing.assert_close(last[0], want[0][2], rtol=1e-4, atol=1e-5)
        repeated.crop(-2)
        assert torch.equal(repeated.layers[0].notes[0], notes[[0, 0], :1])


def test_a_decode_step_of_dycoke_reads_fewer_keys_and_the_cache_keeps_them() -> None:
    loaded = support.tiny()
    inputs = support.prompt(support.video(1, frames=8)).inputs
    found, held = [], []
    for rate in (0.0, 0.9):
        method = support.suited("dycoke", pruning_rate=rate)
        with torch.inference_mode(), attach(loaded.model, loaded.adapter, method):
            cache = cache_of(loaded.model(**inputs, use_cache=True))
            found.append(step(cache, torch.tensor([[70]])))
            held.append([layer.keys.shape[-2] for layer in cache.layers])
    assert held[0] == held[1]
    assert not torch.allclose(*found, atol=1e-5)


# --- what the tower tells ---------------------------------------------------------------------------------


def test_the_attention_of_a_mean_query_equals_loops() -> None:
    heads, width, patches, group, scaling = 2, 3, 8, 4, 0.7
    query, key = torch.randn(2, patches, heads * width, generator=torch.Generator().manual_seed(1)).double()
    found = attention_of_mean_query(query, key, heads, scaling, group)
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        asks = sum(query[patch, own] for patch in range(patches)) / patches
        scores = []
        for first in range(0, patches, group):
            mean = sum(key[patch, own] for patch in range(first, first + group)) / group
            scores.append(math.exp(scaling * float((asks * mean).sum())))
        shares = [score / sum(scores) for score in scores]
        for patch in range(patches):
            assert abs(float(found[head, patch]) - shares[patch // group]) < 1e-6


def test_fastvid_ranks_qwen_tokens_by_the_mean_query_of_their_frame() -> None:
    subject = "qwen2_5_vl+video"
    loaded = model_of(subject)
    seen: list[Tensor] = []

    class Watching(FastVid):
        def compress_picture(self, picture: Any, state: Any) -> None:
            super().compress_picture(picture, state)
            seen.append(state.saliency[-1])

    run(loaded, Watching(retain_ratio=0.5, segments=2, mode="strict"), [prompt_of(subject, loaded)])
    assert len(seen) == 5
    # A softmax over the tokens of a frame, the same for the four patches of each.
    torch.testing.assert_close(torch.stack(seen).sum(dim=1), torch.ones(5))
