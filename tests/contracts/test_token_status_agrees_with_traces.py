"""Does the status of tokens agree with what the trace counts, for every method on every family, layer by layer?"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

import attach_support as support
from contracts.conformance import REFUSALS
from focal.testing import prompts as families
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.build import build_method
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_common.errors import FocalError
from focal_traces.frames.frames import KeptPicture
from focal_traces.records.token_status import (
    SampleTokenStatus,
    TokenStatus,
    token_status_from_masks,
    token_status_from_records,
)

PAIRS = [(name, family, kind) for name in METHODS for family, kind in families.CASES]
LAYERS = 4
_NO_STRICT_GRID = "strict mode needs a grid without overlap"
"""Tiles of several crops overlap; only compatible mode takes them."""


@cache
def prompt_of(family: str, kind: str) -> Prompt:
    return families.prompt(families.tiny(family), kind)


def traced(name: str, family: str, kind: str) -> RecordedSample:
    loaded = families.tiny(family)
    parameters = support.SMALL.get(name) or build_method(name, {}).study.fitted(loaded.geometry)
    if "mode" in build_method(name, {}).__dataclass_fields__:
        parameters = {**parameters, "mode": "strict"}
    try:
        samples, _ = families.record(loaded, build_method(name, parameters), prompt_of(family, kind).inputs)
    except FocalError as error:
        allowed = (REFUSALS.get((name, f"{family}+{kind}"), _NO_STRICT_GRID), _NO_STRICT_GRID)
        if not any(words in str(error) for words in allowed):
            raise
        pytest.skip(f"refused: {error}")
    assert (name, f"{family}+{kind}") not in REFUSALS
    return samples[0]


def token_status_of(sample: RecordedSample) -> SampleTokenStatus:
    return token_status_from_records(sample.records, sample.header, LAYERS, sample.header.sample_id)


@pytest.mark.parametrize(("name", "family", "kind"), PAIRS)
def test_fates_agree_with_the_trace(name: str, family: str, kind: str) -> None:
    sample = traced(name, family, kind)
    token_status = token_status_of(sample)
    assert sample.masks is not None
    # The GEMM inputs, recorded apart from the maps, say which tokens are there.
    alive = token_status_from_masks(sample.masks, sample.header.visual_tokens, LAYERS)
    np.testing.assert_array_equal(token_status.is_present, alive.is_present)
    counted = {
        record.layer: int(record.value[0])
        for record in sample.records
        if record.kind == "visual_tokens" and record.point == "after_attention"
    }
    zeroed = (
        (token_status.status == TokenStatus.DROPPED).sum(axis=1)
        if name == "cmc"
        else np.zeros(LAYERS, dtype=int)
    )
    assert (token_status.is_present.sum(axis=1) + zeroed).tolist() == [
        counted[layer] for layer in range(LAYERS)
    ]
    for layer in range(LAYERS):
        check_layer(token_status, layer)
    if name in ("adaptiv", "cmc"):  # they count the tokens they leave to compute themselves
        point = "linear" if name == "cmc" else "layer_input"
        for layer in range(LAYERS):
            left = [r for r in sample.records if (r.kind, r.layer, r.point) == ("tile", layer, point)]
            assert sum(int(one.value.sum()) for one in left) == token_status.is_kept[layer].sum()


def check_layer(token_status: SampleTokenStatus, layer: int) -> None:
    status, represented_by = token_status.status[layer], token_status.represented_by[layer]
    own = np.arange(len(status))
    is_moved = (status == TokenStatus.MERGED) | (status == TokenStatus.REPLACED)
    assert token_status.is_kept[layer][represented_by[is_moved]].all()
    np.testing.assert_array_equal(
        represented_by[token_status.is_kept[layer]], own[token_status.is_kept[layer]]
    )
    assert (represented_by[status == TokenStatus.DROPPED] == -1).all()
    if layer:  # nothing returns
        assert not (token_status.is_present[layer] & ~token_status.is_present[layer - 1]).any()


@pytest.mark.parametrize("name", ["visionzip", "sparsezip"])
def test_the_tokens_of_a_picture_are_dominant_and_contextual_ones(name: str) -> None:
    sample = traced(name, "llava_onevision", "video")
    status = token_status_of(sample).status[0]
    frames = status.reshape(4, -1)
    assert (frames == TokenStatus.KEPT).sum(axis=1).tolist() == [2] * 4
    assert (frames == TokenStatus.REPRESENTATIVE).sum(axis=1).tolist() == [1] * 4
    assert (frames == TokenStatus.MERGED).sum(axis=1).tolist() == [6] * 4


def test_a_tower_with_cls_takes_a_place_of_its_own() -> None:
    token_status = token_status_of(traced("visionzip", "llava", "image"))
    assert (token_status.status[0] == TokenStatus.PADDING).sum() == 1


def test_a_merge_of_one_is_told_from_a_kept_token() -> None:
    """SparseVLM recycles into clusters; their tokens are means even where they have one member."""
    sample = traced("sparsevlm", "llava", "image")
    made = [record for record in sample.records if record.kind == "made"]
    assert made
    token_status = token_status_of(sample)
    first = made[0]
    places = first.index - sample.header.visual_start
    assert (token_status.status[first.layer][places] == TokenStatus.REPRESENTATIVE).all()


@pytest.mark.parametrize(("family", "kind"), families.CASES)
def test_every_token_has_a_cell_of_its_own(family: str, kind: str) -> None:
    prompt = prompt_of(family, kind)
    assert prompt.frames is not None
    frames = prompt.frames()
    assert frames.cells.shape == (prompt.layout.visual_tokens, 5)
    for number in range(len(frames.pictures)):
        own = frames.cells[frames.cells[:, 0] == number, 1:]
        times = np.zeros((own[:, 3].max(), own[:, 2].max()), dtype=int)
        for left, top, right, bottom in own.tolist():
            times[top:bottom, left:right] += 1
        assert times.max() == 1


LIT = [case for case in families.CASES if case[0] != "minicpm_v"]
"""MiniCPM-V gathers its tokens by learned queries; the pictures it keeps say so."""


@pytest.mark.parametrize(("family", "kind"), LIT)
def test_a_cell_lies_where_the_token_looks(family: str, kind: str) -> None:
    """Light up the pixels of one cell: of its picture, the token of that cell must change most.

    The tower's attention is switched off, so that what a token sees is its own patches.
    """
    loaded = without_tower_attention(family)
    make = families.prompt(loaded, kind).frames
    assert make is not None
    kept = make()
    size = (kept.pictures[-1].width_pixels, kept.pictures[-1].height_pixels)
    if (family, kind) == ("llava_onevision", "image"):
        size = (140, 70)  # two tiles without padding
    source = MediaSample(
        "grey", (Image.new("RGB", size, (90, 90, 90)),) * (4 if kind == "video" else 1), kind == "video", ""
    )
    plain = build_prompt(loaded, source, "What?")
    assert plain.frames is not None
    cells = plain.frames().cells
    assert plain.frames().pictures[-1].width_pixels == size[0]  # so that cells are in pixels of the source
    dark = embeddings(loaded, plain)
    pictures = plain.frames().pictures
    shown = [
        token
        for token, (picture, _, _, right, bottom) in enumerate(cells.tolist())
        if right <= pictures[picture].width_pixels and bottom <= pictures[picture].height_pixels
    ]
    if (family, kind) == (
        "smolvlm",
        "image",
    ):  # tiles show the picture enlarged; the overview, last, shows it as it is
        shown = [token for token in shown if cells[token, 0] == len(pictures) - 1]
        assert len(shown) == 9
    for token in shown[:: max(1, len(shown) // 6)]:
        picture = int(cells[token, 0])
        lit = build_prompt(loaded, lighted(source, cells[token].tolist(), pictures), "What?")
        moved = (embeddings(loaded, lit) - dark).norm(dim=-1)
        moved[torch.from_numpy(cells[:, 0] != picture)] = 0
        assert int(moved.argmax()) == token


def without_tower_attention(family: str) -> LoadedModel:
    loaded = load_model(
        family, size="tiny", seed=7, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )
    silenced = 0
    for name, parameter in loaded.adapter.vision_points(loaded.model).tower.named_parameters():
        if "att" in name and name.split(".")[-2] in ("out_proj", "proj", "projection_layer"):
            parameter.data.zero_()
            silenced += 1
    assert silenced
    return loaded


def lighted(source: MediaSample, cell: list[int], pictures: tuple[KeptPicture, ...]) -> MediaSample:
    """The sample with one cell white, in the first of the frames that the picture stands for."""
    picture, *box = cell
    frame = picture * len(source.frames) // len(pictures) if source.is_video else 0
    changed = source.frames[frame].copy()
    across = changed.width / pictures[picture].width_pixels
    down = changed.height / pictures[picture].height_pixels
    # The inner half of the cell: resizing smears its border into the next.
    left, top, right, bottom = box
    inset = ((right - left) / 4, (bottom - top) / 4)
    inner = (left + inset[0], top + inset[1], right - inset[0], bottom - inset[1])
    left, top, right, bottom = (
        round(value * factor) for value, factor in zip(inner, (across, down) * 2, strict=True)
    )
    changed.paste((255, 255, 255), (left, top, right, bottom))
    frames = (*source.frames[:frame], changed, *source.frames[frame + 1 :])
    return MediaSample(source.sample_id, frames, source.is_video, "")


def embeddings(loaded: LoadedModel, prompt: Prompt) -> torch.Tensor:
    """Input of the first decoder layer, axes (S, hidden)."""
    seen: list[torch.Tensor] = []
    first = loaded.adapter.points(loaded.model).layers[0].layer
    hook = first.register_forward_pre_hook(
        lambda module, words, named: seen.append(
            named["hidden_states"] if "hidden_states" in named else words[0]
        ),
        with_kwargs=True,
    )
    with hook, torch.inference_mode():
        loaded.model(**prompt.inputs)
    return seen[0][0, prompt.layout.visual_start : prompt.layout.visual_stop]
