"""Do EVS, FastVID, HoliTom and DyCoke equal plain loops, and a decoder run by hand, in every variant?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlavaConfig, LlavaForConditionalGeneration

import focal_algorithm.kernels.vectors as chunks
from focal_algorithm.hooks import attach
from focal_algorithm.kernels.holitom import place_likeness, static_windows
from focal_algorithm.methods.base import TokenStream
from focal_algorithm.methods.dycoke import DyCoke
from focal_algorithm.methods.evs import Evs
from focal_algorithm.methods.fastvid import FastVid
from focal_algorithm.methods.holitom import HoliTom, HoliTomState
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import ConfigError, UnsupportedError
from goldens.decoder import TOWER
from goldens.stored import stream_of
from oracles import video_twin as twin

BEFORE, AFTER, ROWS, COLUMNS, WIDTH = 3, 4, 3, 4, 6
TOKENS = ROWS * COLUMNS


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def scene(frames: int, seed: int, change: float = 0.4) -> Tensor:
    """Return frames that drift, with some places that stand still and a cut in the middle."""
    noise = random(frames, TOKENS, WIDTH, seed=seed)
    video = noise[:1].repeat(frames, 1, 1)
    video[frames // 2 :] = noise[frames // 2]
    moving = random(TOKENS, seed=seed + 1) > -0.3
    video[:, moving] += change * noise.cumsum(dim=0)[:, moving]
    return video


def prompt(video: Tensor, separators: int = 0) -> tuple[Tensor, TokenStream]:
    frames = len(video)
    stream = stream_of(frames, ROWS, COLUMNS, before=BEFORE, after=AFTER, separators=separators)
    cells = video.view(frames, ROWS, COLUMNS, WIDTH)
    cells = torch.cat((cells, torch.full((frames, ROWS, separators, WIDTH), 7.0)), dim=2)
    text = random(BEFORE + AFTER, WIDTH, seed=99)
    return torch.cat((text[:BEFORE], cells.reshape(-1, WIDTH), text[BEFORE:])), stream


def double(values: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.double().numpy()
    return found


def visual(rows: Tensor, stream: TokenStream) -> list[int]:
    """Return the places of the video among rows that remain, and check that text stays around it."""
    stop = stream.layout.visual_stop
    assert rows[:BEFORE].tolist() == list(range(BEFORE))
    assert rows[-AFTER:].tolist() == list(range(stop, stop + AFTER))
    return (rows[BEFORE:-AFTER] - BEFORE).tolist()


@pytest.fixture(params=[None, 30])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test once as it is, and once a few rows at a time."""
    if request.param is not None:
        monkeypatch.setattr(chunks, "_CPU_ELEMENTS", request.param)


# --- EVS --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("frames", [2, 7])
def test_evs_equals_loops(frames: int, rate: float) -> None:
    video = scene(frames, seed=1)
    video[1, 2] = 0.0
    hidden, stream = prompt(video)
    for mode in ("compatible", "strict"):
        answer = Evs(pruning_rate=rate, mode=mode).before_layer(0, hidden, stream, None)  # type: ignore[arg-type]
        kept = list(range(frames * TOKENS)) if answer is None else visual(answer.rows, stream)
        if mode == "strict" or frames == 2:
            assert kept == twin.evs(double(video), rate)
        assert len(kept) == max(TOKENS, int(frames * TOKENS * (1 - rate)))
        assert answer is None or answer.renumbers == (mode == "compatible")


def test_a_still_video_keeps_its_first_frame_and_then_the_earliest_tokens() -> None:
    video = random(1, TOKENS, WIDTH, seed=2).repeat(5, 1, 1)
    video[3] *= 2  # another brightness is no change
    video[1:, 4] = random(4, WIDTH, seed=3) * 5  # but this place changes
    hidden, stream = prompt(video)
    answer = Evs(keep_tokens=TOKENS + 6, mode="strict").before_layer(0, hidden, stream, None)
    assert answer is not None
    changed = [frame * TOKENS + 4 for frame in range(1, 5)]
    assert visual(answer.rows, stream) == sorted([*range(TOKENS), *changed, TOKENS, TOKENS + 1])


# --- FastVID ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("mode", ["compatible", "strict"])
@pytest.mark.parametrize("variant", ["parallel", "shared", "sampled"])
@pytest.mark.parametrize(
    ("frames", "settings"),
    [
        (9, {"retain_ratio": 0.35, "segments": 2, "anchor_step": 4}),
        (8, {"retain_ratio": 0.5, "segments": 3, "anchor_step": 2, "merged_share": 0.3}),
        (7, {"retain_ratio": 0.4, "segments": 2, "anchor_step": 1, "anchor_weight": 0.0}),
        (6, {"retain_ratio": 0.3, "segments": 6, "anchor_step": 4, "anchor_weight": 1.0}),
        (10, {"retain_ratio": 0.3, "segments": 2, "anchor_step": 3, "same_frame": 0.99}),
    ],
)
def test_fastvid_equals_loops(frames: int, settings: dict[str, Any], variant: Any, mode: Any) -> None:
    video, saliency = scene(frames, seed=frames), random(frames, TOKENS, seed=50)
    features = video.mean(dim=1)
    method = FastVid(variant=variant, mode=mode, segment_threshold=0.3, **settings)
    hidden, stream = prompt(video)
    answer = method.merged(hidden, stream, saliency)
    assert answer is not None
    assert answer.hidden is not None
    slow = twin.fastvid(double(video), double(saliency), double(features), method, mode == "strict")
    assert visual(answer.rows, stream) == sorted(slow)
    values = np.stack([slow[place] for place in sorted(slow)])
    np.testing.assert_allclose(double(answer.hidden[BEFORE:-AFTER]), values, atol=1e-5)
    assert not answer.renumbers


def test_runs_of_alike_frames_share_the_tokens_of_their_segment() -> None:
    # Two runs in one segment: their last frames alone hold tokens, the first of them one salient token more.
    video = scene(6, seed=4, change=0.02)
    method = FastVid(
        variant="sampled", retain_ratio=0.25, segments=1, segment_threshold=-2, same_frame=0.9, mode="strict"
    )
    hidden, stream = prompt(video)
    answer = method.merged(hidden, stream, random(6, TOKENS, seed=5))
    assert answer is not None
    frames = [place // TOKENS for place in visual(answer.rows, stream)]
    assert set(frames) == {2, 5}
    assert frames.count(2) == 6  # half of 3 x 6 - int(18 x 0.4) = 11 salient ones, rounded up, and no anchor
    assert frames.count(5) == 5 + 6  # the other half, and 7 anchors, of which half a frame may be


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"segments": 9}, "9 segments of a video of 6 frames"),
        ({"retain_ratio": 0.09}, "leaves none to merge into"),
        ({"retain_ratio": 0.8, "segments": 1, "segment_threshold": -2}, "anchors among the"),
        ({"variant": "shared", "segments": 1, "segment_threshold": -2}, "nothing cuts this video"),
    ],
)
def test_where_released_code_of_fastvid_fails_strict_goes_on(settings: dict[str, Any], words: str) -> None:
    video = scene(6, seed=6)
    hidden, stream = prompt(video)
    given = {"retain_ratio": 0.3, "segments": 2, **settings}
    with pytest.raises(
        ConfigError if "retain_ratio" in settings else UnsupportedError, match=words
    ) as refusal:
        FastVid(**given).merged(hidden, stream, random(6, TOKENS, seed=7))
    assert "mode=strict" in str(refusal.value)
    answer = FastVid(**given, mode="strict").merged(hidden, stream, random(6, TOKENS, seed=7))
    assert answer is not None
    assert len(answer.rows) < len(hidden)


# --- HoliTom ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(6))
def test_windows_take_away_as_much_as_any(seed: int, longest: int) -> None:
    likeness = random(6, 5, seed=seed).sigmoid()
    found = static_windows(likeness, 0.4, longest)
    assert found.reduced == twin.largest_gain(double(likeness), 0.4, longest)
    assert [frame for first, last in found.bounds for frame in range(first, last + 1)] == list(range(7))
    assert max(last - first + 1 for first, last in found.bounds) <= longest


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("mode", ["compatible", "strict"])
@pytest.mark.parametrize(
    ("frames", "settings"),
    [
        (8, {"retain_ratio": 0.2}),
        (8, {"retain_ratio": 0.05}),
        (7, {"retain_ratio": 0.3, "merged_share": 0.5, "neighbours": 3}),
        (6, {"retain_ratio": 0.25, "plain_mean": True, "merged_share": 1.0}),
        (5, {"retain_ratio": 0.4, "longest_window": 2, "centre_weight": 0.2}),
        (4, {"retain_ratio": 0.3, "threshold": 2.0}),
        (6, {"retain_ratio": 0.9, "threshold": -2.0}),
    ],
)
def test_holitom_equals_loops(frames: int, settings: dict[str, Any], mode: Any) -> None:
    video, saliency = scene(frames, seed=20 + frames), random(frames, TOKENS, seed=51)
    method = HoliTom(mode=mode, **settings)
    windows = static_windows(place_likeness(video), method.threshold, method.longest_window)
    slow = twin.holitom(double(video), double(saliency), windows.bounds, method, mode == "strict")
    hidden, stream = prompt(video)
    answer = method.before_layer(0, hidden, stream, HoliTomState(list(saliency)))
    assert answer is not None
    assert answer.hidden is not None
    assert visual(answer.rows, stream) == [place for place, _ in slow]
    expected = np.stack([value for _, value in slow])
    np.testing.assert_allclose(double(answer.hidden[BEFORE:-AFTER]), expected, atol=1e-5)


def test_holitom_says_of_how_many_tokens_each_is_made() -> None:
    video = random(1, TOKENS, WIDTH, seed=8).repeat(4, 1, 1)
    hidden, stream = prompt(video)
    method = HoliTom(retain_ratio=0.1)
    answer = method.before_layer(0, hidden, stream, HoliTomState([torch.zeros(TOKENS)] * 4))
    assert answer is not None
    assert answer.made_of is not None
    assert answer.merged_into is not None
    kept = visual(answer.rows, stream)
    assert len(kept) == round(TOKENS * 0.4)  # one window: four frames' worth of the ratio
    assert int(answer.made_of[answer.rows].clamp(min=0).sum()) == 4 * TOKENS
    assert set(answer.merged_into[BEFORE : BEFORE + 4 * TOKENS].tolist()) == {
        BEFORE + place for place in kept
    }


@pytest.mark.parametrize("is_strict", [False, True])
def test_the_inner_merge_equals_loops(is_strict: bool) -> None:
    hidden, stream = prompt(scene(3, seed=9))
    scores = random(3 * TOKENS, seed=10)
    method = HoliTom(inner_layer=2, inner_ratio=0.6, mode="strict" if is_strict else "compatible")
    state = HoliTomState(scores=scores, inner=stream.visual_rows)
    answer = method.before_layer(2, hidden, stream, state)
    assert answer is not None
    assert answer.hidden is not None
    assert not answer.renumbers
    values = double(hidden[stream.visual_rows])
    slow = twin.inner_merge(values, scores.tolist(), round(3 * TOKENS * 0.4), is_strict)
    assert visual(answer.rows, stream) == sorted(slow)
    expected = np.stack([slow[place] for place in sorted(slow)])
    np.testing.assert_allclose(double(answer.hidden[BEFORE:-AFTER]), expected, atol=1e-5)


# --- marks that end rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        Evs(pruning_rate=0.9),
        FastVid(retain_ratio=0.2, segments=2, mode="strict"),
        HoliTom(retain_ratio=0.1),
        DyCoke(merging_ratio=0.95),
    ],
    ids=lambda method: method.name,
)
def test_a_mark_stays_with_the_tokens_of_its_row(method: Any) -> None:
    video = scene(8, seed=11)
    hidden, stream = prompt(video, separators=1)
    state = HoliTomState(list(random(8, TOKENS, seed=12)))
    answer = method.before_layer(0, hidden, stream, state)
    assert answer is not None
    kept = visual(answer.rows, stream)
    marks = {place for place in kept if place % (COLUMNS + 1) == COLUMNS}
    assert kept == sorted(kept)
    assert marks == {place // (COLUMNS + 1) * (COLUMNS + 1) + COLUMNS for place in set(kept) - marks}
    assert len(marks) < 8 * ROWS


# --- DyCoke -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["compatible", "strict"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("frames", [5, 6, 7, 8, 12, 13])
def test_dycoke_equals_loops(frames: int, ratio: float, mode: Any) -> None:
    video = random(frames, TOKENS, WIDTH, seed=frames)
    hidden, stream = prompt(video)
    answer = DyCoke(merging_ratio=ratio, mode=mode).before_layer(0, hidden, stream, None)
    kept = list(range(frames * TOKENS)) if answer is None else visual(answer.rows, stream)
    assert kept == twin.dycoke(double(video), ratio, mode == "strict")


def model(attention: str) -> Any:
    torch.manual_seed(11)
    text = {
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.2,
    }
    config = LlavaConfig(
        vision_config=TOWER, text_config=text, image_token_index=31, attn_implementation=attention
    )
    return LlavaForConditionalGeneration(config).eval()


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("step", [1, 2, 6])
@pytest.mark.parametrize("mode", ["compatible", "strict"])
@pytest.mark.parametrize(("layer", "rate"), [(1, 0.5), (2, 0.8), (3, 1.0)])
def test_decode_steps_read_what_a_decoder_run_by_hand_reads(
    layer: int, rate: float, mode: Any, step: int, attention: str
) -> None:
    frames, new = 5, 6
    method = DyCoke(merging_ratio=0.5, layer=layer, pruning_rate=rate, mode=mode)
    stream = stream_of(frames, ROWS, COLUMNS, before=BEFORE, after=AFTER)
    layout = stream.layout
    embeddings = random(layout.sequence_tokens + new, 32, seed=13)
    embeddings[-4:-1] = embeddings[-5]  # the same token again and again attends to much the same
    own = stream_of(frames, ROWS, COLUMNS, before=BEFORE, after=AFTER)
    answer = method.before_layer(0, embeddings[: layout.sequence_tokens], own, None)
    assert answer is not None
    rows, kept = answer.rows, visual(answer.rows, stream)
    places = list(range(BEFORE, BEFORE + len(kept)))
    slow_input = torch.cat((embeddings[rows], embeddings[layout.sequence_tokens :]))
    decoder = model("eager").get_decoder()
    slow, alike = twin.decoded(decoder, slow_input, len(rows), places, method, mode == "strict")
    whole, _ = twin.decoded(
        decoder, slow_input, len(rows), places, DyCoke(pruning_rate=0.0), mode == "strict"
    )
    assert min(alike[1:]) < 0.9 < max(alike)  # both rules are needed
    assert not torch.allclose(slow[-new:], whole[-new:], atol=1e-3)  # something is closed

    stock = model(attention)
    with torch.inference_mode(), attach(stock, LlavaOnevision(), method, layouts=[layout]):
        inner = stock.get_decoder()
        done = inner(inputs_embeds=embeddings[None, : layout.sequence_tokens], use_cache=True)
        cache, found = cache_of(done), []
        for first in range(0, new, step):
            ids = torch.zeros(1, step, dtype=torch.int64)
            given = {cache_name(): cache, "use_cache": True}
            handle = stock.get_input_embeddings().register_forward_hook(
                lambda _module, _args, _output, first=first: embeddings[
                    None, layout.sequence_tokens + first : layout.sequence_tokens + first + step
                ]
            )
            found.append(stock.model(input_ids=ids, **given).last_hidden_state[0])
            handle.remove()
    torch.testing.assert_close(torch.cat(found), slow[-new:], rtol=1e-4, atol=1e-4)


# --- memory -----------------------------------------------------------------------------------------------


class _Largest(TorchDispatchMode):
    """Notes the largest tensor that is made and holds no rows of the residual stream."""

    elements = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for one in made if isinstance(made, (tuple, list)) else (made,):
            if torch.is_tensor(one) and WIDTH not in one.shape:
                self.elements = max(self.elements, one.numel())
        return made


@pytest.mark.parametrize(
    "method",
    [
        Evs(),
        FastVid(retain_ratio=0.5, segments=1, segment_threshold=-2, anchor_step=2, mode="strict"),
        HoliTom(inner_layer=1, inner_ratio=0.2),
        HoliTom(inner_layer=1, inner_ratio=0.2, mode="strict"),
        DyCoke(),
    ],
    ids=lambda method: f"{method.name}-{method.mode}",
)
def test_no_matrix_of_all_pairs_is_held(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_CPU_ELEMENTS", 1 << 12)
    hidden, stream = prompt(scene(160, seed=14))  # 1,920 tokens
    with _Largest() as watch:
        method.before_layer(0, hidden, stream, HoliTomState(list(random(160, TOKENS, seed=15))))
        if isinstance(method, HoliTom):
            scores = random(160 * TOKENS, seed=16)
            method.before_layer(1, hidden, stream, HoliTomState(scores=scores, inner=stream.visual_rows))
    assert 0 < watch.elements <= 12_000
