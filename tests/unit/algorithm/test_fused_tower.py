"""Is the attention of a tower that packs its pictures and orders patches by window read as it is?"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

from focal_algorithm.hooks.tower import TowerWatch, TowerWork
from focal_algorithm.methods.base import HostNeeds
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.vision import VisualMap, find_vision_points, merged_map
from focal_common.errors import ConfigError, UnsupportedError
from focal_traces.header.schema import TokenGrid

FRAMES, ROWS, COLUMNS = 2, 8, 12


def model_with(window_size: int, whole: list[int]) -> Any:
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": whole,
            "window_size": window_size,
        },
        text_config={
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": 300,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Qwen2_5_VLForConditionalGeneration(config).eval()


def watched(model: Any, seen: list[tuple[Tensor, dict[str, Any]]] | None = None) -> TowerWork:
    watch = TowerWatch(find_vision_points(model), HostNeeds())
    handles = [
        m.register_forward_hook(partial(lambda see, _m, _a, out: see(out), see)) for m, see in watch.outputs()
    ]

    def keep(look: Any, _module: Any, _args: Any, inputs: dict[str, Any]) -> None:
        look(inputs)

    handles += [
        m.register_forward_pre_hook(partial(keep, look), with_kwargs=True) for m, look in watch.keywords()
    ]
    if seen is not None:

        def note(_module: Any, args: Any, inputs: dict[str, Any]) -> None:
            seen.append((args[0], inputs))

        handles.append(model.model.visual.blocks[1].attn.register_forward_pre_hook(note, with_kwargs=True))
    pixels = torch.randn(FRAMES * ROWS * COLUMNS, 3 * 2 * 14 * 14, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        model.model.visual(pixels, grid_thw=torch.tensor([[FRAMES, ROWS, COLUMNS]]))
    for handle in handles:
        handle.remove()
    one = VisualMap(FRAMES, lambda values: values, torch.zeros(0), False)
    ((work,),) = watch.take([[one]], torch.device("cpu"))
    assert work is not None
    return work


def test_attention_and_keys_equal_the_whole_matrix() -> None:
    model, seen = model_with(10_000, [0, 1]), []  # type: ignore[var-annotated]
    work = watched(model, seen)
    attention = model.model.visual.blocks[1].attn
    hidden, inputs = seen[0]
    with torch.inference_mode():
        query, key, _ = attention.qkv(hidden).view(len(hidden), 3, 2, -1).unbind(1)
        query, key = apply_rotary_pos_emb_vision(query, key, *inputs["position_embeddings"])
    for frame in range(FRAMES):
        own = slice(frame * ROWS * COLUMNS, (frame + 1) * ROWS * COLUMNS)
        scores = query[own].transpose(0, 1) @ key[own].permute(1, 2, 0) * attention.scaling
        assert torch.allclose(work.attention[frame, 0], scores.softmax(-1).mean(1), atol=1e-6)
        assert torch.allclose(work.keys[frame, 0], key[own].mean(1), atol=1e-5)
    assert torch.allclose(work.attention.sum(-1), torch.ones(()), atol=1e-5)


def test_patches_come_in_raster_order_whatever_the_windows() -> None:
    whole, windows = watched(model_with(10_000, [0, 1])), watched(model_with(56, [0, 1]))
    assert torch.allclose(whole.attention, windows.attention, atol=1e-6)
    assert torch.allclose(whole.keys, windows.keys, atol=1e-5)


def test_layers_that_attend_within_windows_are_refused() -> None:
    points = find_vision_points(model_with(56, [1]))
    with pytest.raises(ConfigError, match="layer 0 of the vision tower attends within windows"):
        TowerWatch(points, HostNeeds(tower_layers=(0, -1)))


def test_merged_patches_are_averaged_and_other_tokens_between_pictures_refused() -> None:
    grid = TokenGrid(frames=2, rows=2, columns=3, frame_stride=6, row_stride=3, column_stride=1)
    found = merged_map(SampleLayout("a", 20, 4, 12, grid), 4)
    values = torch.arange(48.0).view(2, 24, 1)
    assert found.place(values).flatten().tolist() == [1.5 + 4 * token for token in range(12)]
    assert found.picture_of_token.tolist() == [0] * 6 + [1] * 6
    with pytest.raises(UnsupportedError, match="13 visual tokens are not 2 pictures"):
        merged_map(SampleLayout("a", 20, 4, 13, grid), 4)
