"""SparseVLM files: raters, relevance, clustering, head selection, and a whole decoder with our hooks in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import LlavaConfig, LlavaForConditionalGeneration

from focal_algorithm.hooks import attach
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.kernels.sparsevlm import (
    PRUNING_LAYERS,
    merge_by_density_peaks,
    rater_scores,
    raters_of,
    relevance_of,
    selected_heads,
)
from focal_algorithm.methods.base import Resequenced, TokenStream
from focal_algorithm.methods.sparsevlm import SparseVlm, SparseVlmState
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_traces.header.schema import TokenGrid
from goldens.comparing import compare
from goldens.plain import END_TO_END, VALUE, tensors

PREFIX = "svlm_"

_LAYERS, _WIDTH, _HEADS = 17, 64, 16  # of the decoder in the end-to-end files
_RELEVANCE = 1e-4


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored = tensors(path)
    if "inputs_embeds" in stored:
        return _check_decoder(path.name, stored)
    if "hidden_in" in stored:
        return _check_raters(stored)
    return _check_heads(stored) if "attn" in stored else _check_clusters(stored)


def _check_raters(stored: dict[str, Tensor]) -> list[str]:
    start, count = int(stored["v_start"]), int(stored["v_num"])
    hidden, rows = stored["hidden_in"][0], stored["attn_rows_text"][0]
    scores = rater_scores(hidden[start : start + count], hidden[start + count :])
    raters = raters_of(scores)
    wrong = compare("rater_scores", scores, stored["rater_scores"][0], absolute=VALUE)
    wrong += compare("rater_idx", raters, stored["rater_idx"])
    relevance = relevance_of(rows[:, raters][:, :, start : start + count])
    wrong += compare("relevance", relevance, stored["relevance"][0], absolute=VALUE)
    masks = sorted(
        (name for name in stored if name.startswith("mask_layer")), key=lambda name: int(name[10:])
    )
    for name, kept in zip(masks, stored["schedule"].tolist(), strict=True):
        mask = torch.zeros(count, dtype=torch.bool)
        mask[top_indices(relevance, min(kept, count - 1))] = True
        wrong += compare(name, mask, stored[name][0])
    return wrong


def _check_clusters(stored: dict[str, Tensor]) -> list[str]:
    wrong: list[str] = []
    for name in (key for key in stored if key.startswith("out_k")):
        clusters = int(name.removeprefix("out_k"))
        noise = stored.get(f"noise_k{clusters}")
        for sample, values in enumerate(stored["x"]):
            merged, _, _ = merge_by_density_peaks(values, clusters, None if noise is None else noise[sample])
            wrong += compare(f"{name} [{sample}]", merged, stored[name][sample], absolute=VALUE)
    return wrong


def _check_heads(stored: dict[str, Tensor]) -> list[str]:
    start, stop = int(stored["v_start"]), int(stored["text_start"])
    name = next(key for key in stored if re.fullmatch(r"top\d+", key))
    attention = stored["attn"][0]
    heads = selected_heads(attention[:, stored["text_rows"]][:, :, start:stop], len(stored[name]))
    wrong = compare(name, heads, stored[name])
    return wrong + compare("out", attention[heads], stored["out"][0], absolute=VALUE)


# --- end to end -------------------------------------------------------------------------------------------


def formula_decoder(layers: int = _LAYERS, attention: str = "sdpa") -> Any:
    """Build the decoder whose weights follow from a formula: W_n[o, i] = 0.15 sin(1.7 (o+1)(i+2) + 0.9 n)."""
    text = {
        "model_type": "llama",
        "vocab_size": 32,
        "hidden_size": _WIDTH,
        "intermediate_size": _WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _HEADS,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "max_position_embeddings": 4096,
    }
    tower = {
        "model_type": "clip_vision_model",
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    config = LlavaConfig(
        vision_config=tower, text_config=text, image_token_index=31, attn_implementation=attention
    )
    model = LlavaForConditionalGeneration(config).eval()
    names = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
    names += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    number = 0
    with torch.no_grad():
        for layer in model.get_decoder().layers:
            for name in names:
                weight = layer.get_submodule(name).weight
                rows = torch.arange(weight.shape[0], dtype=torch.float64)[:, None] + 1
                columns = torch.arange(weight.shape[1], dtype=torch.float64) + 2
                weight.copy_(0.15 * torch.sin(1.7 * rows * columns + 0.9 * number))
                number += 1
    return model


@dataclass(frozen=True, kw_only=True)
class _Watched(SparseVlm):
    """SparseVLM that notes what it decides at each layer."""

    notes: ClassVar[dict[str, Tensor]] = {}
    noises: ClassVar[list[Tensor]] = []

    def _noise(self, tokens: int) -> Tensor | None:
        return self.noises.pop(0) if self.noises else None

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: SparseVlmState
    ) -> Resequenced | None:
        relevance, count = state.relevance, len(stream.visual_rows)
        answer = super().before_layer(layer, hidden, stream, state)
        if layer == 0 and state.raters is not None:
            self.notes["rater_idx"] = state.raters
        if relevance is not None and answer is not None:
            start = int(stream.visual_rows[0])
            self.notes[f"L{layer - 1}_relevance"] = relevance
            mask = torch.zeros(count, dtype=torch.bool)
            unmerged = answer.rows[: start + self._count(layer - 1, stream, count, state.rank)]
            mask[unmerged[start:] - start] = True
            self.notes[f"L{layer - 1}_keepmask"] = mask
            self.notes[f"L{layer - 1}_vstart_vnum_tstart"] = torch.tensor([start, count, start + count])
            if answer.hidden is not None:
                kept = int(mask.sum())
                merged = answer.hidden[start + kept : len(answer.rows) - len(stream.query_rows)]
                self.notes[f"merge{PRUNING_LAYERS.index(layer - 1)}_out"] = merged
        return answer


def _check_decoder(name: str, stored: dict[str, Tensor]) -> list[str]:
    found = re.search(r"_v(\d)_(\d+)", name)
    version, budget = ("2.0" if found and found[1] == "2" else "1.5"), int(found[2]) if found else 64
    before, visual, after = (int(stored[key]) for key in ("pre", "v", "t"))
    grid = TokenGrid(
        frames=1, rows=1, columns=visual, frame_stride=visual, row_stride=visual, column_stride=1
    )
    layout = SampleLayout("golden", before + visual + after, before, visual, grid)
    method = _Watched(version=version, retained_tokens=budget)  # type: ignore[arg-type]
    model = formula_decoder(len(stored["kv_lengths"]))
    positions: dict[int, Tensor] = {}
    _Watched.notes.clear()
    _Watched.noises[:] = [stored[key][0] for key in sorted(stored) if re.fullmatch(r"merge\d+_noise", key)]
    with torch.inference_mode(), attach(model, LlavaOnevision(), method, layouts=[layout]):
        handles = _watch_positions(model, positions)
        decoder = model.get_decoder()
        prefill = decoder(inputs_embeds=stored["inputs_embeds"], use_cache=True)
        lengths = [held_tokens(cache_of(prefill), layer) for layer in range(len(stored["kv_lengths"]))]
        last = torch.tensor([int(positions[layer][0, -1]) for layer in sorted(positions)])
        deepest = positions[len(lengths) - 1].clone()
        decoded = decoder(inputs_embeds=stored["decode_in"], **{cache_name(): cache_of(prefill)})
        for handle in handles:
            handle.remove()
    wrong = compare("kv_lengths", lengths, stored["kv_lengths"])
    wrong += compare("final_hidden", prefill.last_hidden_state, stored["final_hidden"], absolute=END_TO_END)
    wrong += compare("decode_out", decoded.last_hidden_state, stored["decode_out"], absolute=END_TO_END)
    if "prefill_position_last" in stored:
        wrong += compare("prefill_position_last", last, stored["prefill_position_last"])
    for key in (key for key in stored if key.startswith("prefill_positions_layer")):
        wrong += compare(key, deepest, stored[key])
    return wrong + _compare_notes(stored)


def _compare_notes(stored: dict[str, Tensor]) -> list[str]:
    wrong: list[str] = []
    decided = r"L\d+_(relevance|keepmask|vstart_vnum_tstart)|merge\d+_out|rater_idx"
    keys = [key for key in stored if re.fullmatch(decided, key)]
    for key in keys:
        got = _Watched.notes.get(key)
        if got is None:
            wrong.append(f"{key}: nothing was decided there")
            continue
        expected = stored[key] if got.ndim == stored[key].ndim else stored[key][0]
        tolerance = _RELEVANCE if stored[key].is_floating_point() else 0.0
        wrong += compare(key, got, expected, absolute=tolerance, relative=tolerance)
    return wrong


def _watch_positions(model: Any, positions: dict[int, Tensor]) -> Sequence[Any]:
    def watch(layer: int) -> Any:
        def hook(_module: Any, _args: Any, inputs: dict[str, Any]) -> None:
            positions[layer] = inputs["position_ids"]

        return hook

    layers = model.get_decoder().layers
    return [one.register_forward_pre_hook(watch(at), with_kwargs=True) for at, one in enumerate(layers)]
