"""PyramidDrop files: single drops, counts, a whole decoder, a padded batch; all but counts through the hooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from focal_algorithm.hooks import attach
from focal_algorithm.methods import pyramiddrop, selector
from focal_algorithm.methods.base import Resequenced, TokenStream
from focal_algorithm.methods.pyramiddrop import PyramidDrop
from focal_algorithm.models.llava_onevision import LlavaOnevision
from focal_algorithm.prompts.layout import SampleLayout
from goldens.comparing import Arrays, Settings, compare, load_settings
from goldens.decoder import layer_inputs, layout_of, prefill, stored_decoder

PREFIX = "pyramiddrop_"
SCORE, HIDDEN = 1e-6, 2e-5


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays, wrong = load_settings(path, "pyramiddrop")
    if any(name.startswith("state_dict/") for name in arrays):
        wrong += _check_decoder(params, arrays)
    elif "counts" in arrays:
        wrong += _check_counts(params, arrays)
    elif "attention_mask_in" in arrays:
        wrong += _check_batch(params, arrays)
    else:
        wrong += _check_drop(params, arrays)
    return wrong + params.unread()


@dataclass(frozen=True, kw_only=True)
class _Watched(PyramidDrop):
    """PyramidDrop that notes scores, rows and tokens of each drop."""

    notes: ClassVar[list[tuple[Tensor, Tensor, Tensor]]] = []

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        seen: list[Tensor] = []

        def noted(*operands: Any, **settings: Any) -> Tensor:
            seen.append(selector.attention_of_last(*operands, **settings))
            return seen[0]

        pyramiddrop.attention_of_last = noted
        try:
            answer = super().before_layer(layer, hidden, stream, state)
        finally:
            pyramiddrop.attention_of_last = selector.attention_of_last
        if answer is not None:
            self.notes.append((seen[0], answer.rows, stream.token_ids[answer.rows]))
        return answer


def _one_layer(params: Settings, arrays: Arrays) -> Any:
    """Return a decoder whose first layer changes nothing and whose second has the norm and projections of a file."""
    hidden, projected = params["hidden_size"], arrays["k_proj_weight"].shape[0]
    kv_heads = projected * params["heads"] // hidden
    widths = {"q": hidden, "k": projected, "v": projected, "o": hidden}
    weights = {"norm.weight": torch.ones(hidden)}
    for at in ("layers.0.", "layers.1."):
        weights |= {f"{at}self_attn.{one}_proj.weight": torch.zeros(widths[one], hidden) for one in widths}
        weights |= {
            f"{at}mlp.{one}_proj.weight": torch.zeros(hidden, hidden) for one in ("gate", "up", "down")
        }
        weights |= {f"{at}{one}_layernorm.weight": torch.ones(hidden) for one in ("input", "post_attention")}
    weights["layers.1.input_layernorm.weight"] = torch.from_numpy(arrays["input_layernorm_weight"])
    for one in "qk":
        weights[f"layers.1.self_attn.{one}_proj.weight"] = torch.from_numpy(arrays[f"{one}_proj_weight"])
    shape = {"intermediate_size": hidden, "layers": 2, "kv_heads": kv_heads, "hidden_act": "silu"}
    shape |= {name: params[name] for name in ("hidden_size", "heads", "rms_norm_eps", "rope_theta", "dtype")}
    stored = {f"state_dict/{name}": value.to(torch.float32).numpy() for name, value in weights.items()}
    return stored_decoder(Settings(shape), stored)


def _check_drop(params: Settings, arrays: Arrays) -> list[str]:
    start, now, stage = params["visual_start"], params["visual_tokens_now"], params["stage"]
    full = PyramidDrop(layers=tuple(range(1, len(params["ratios"]) + 1)), ratios=tuple(params["ratios"]))
    counts = list(full.stages(params["image_tokens_full"], len(params["ratios"]) + 1).values())
    wrong = compare("keep_count", counts[stage], params["keep_count"])
    wrong += compare("visual_tokens_now", [params["image_tokens_full"], *counts][stage], now)
    # The stage as the only one of a prompt that has the tokens left by those before it.
    method = _Watched(layers=(1,), ratios=((counts[stage] + 0.5) / now,))
    layout = layout_of(start, now, params["prompt_text_tokens"] - start)
    model, _Watched.notes[:] = _one_layer(params, arrays), []
    done = prefill(model, method, torch.from_numpy(arrays["features_in"]), layout)
    ((scores, rows, _),) = _Watched.notes
    is_half = params["dtype"] != "float32"
    wrong += compare("score", scores, arrays["score"], absolute=0.0 if is_half else SCORE)
    wrong += compare("kept_positions", rows, arrays["kept_positions"])
    return wrong + compare("features_out", done.inputs[1], arrays["features_out"])


def _check_counts(params: Settings, arrays: Arrays) -> list[str]:
    wrong = []
    layers, decoder = tuple(arrays["layer_list"].tolist()), int(arrays["decoder_layers"])
    for number, ratios in enumerate(arrays["ratio_lists"].tolist()):
        method = PyramidDrop(layers=layers, ratios=tuple(ratios))
        table = [list(method.stages(tokens, decoder).values()) for tokens in params["visual_tokens"]]
        wrong += compare(f"counts {ratios}", table, arrays["counts"][number])
    stages = PyramidDrop(layers=layers).stages(576, decoder)
    present, total = 576, 0
    for layer in range(decoder):
        present = stages.get(layer, present)
        total += present
    return wrong + compare(
        "mean_over_32_layers_576_default", total / decoder, arrays["mean_over_32_layers_576_default"]
    )


def _check_decoder(params: Settings, arrays: Arrays) -> list[str]:
    layout = layout_of(params["visual_start"], params["visual_tokens"], params["text_after"])
    method = _Watched(layers=tuple(params["layer_list"]), ratios=tuple(params["ratios"]))
    wrong = compare("positions", params["positions"], "renumbered 0..len-1 after every drop")
    _Watched.notes.clear()
    done = prefill(stored_decoder(params, arrays), method, torch.from_numpy(arrays["inputs_embeds"]), layout)
    for stage, (scores, rows, tokens) in enumerate(_Watched.notes):
        wrong += compare(f"stage_{stage}_score", scores, arrays[f"stage_{stage}_score"], absolute=SCORE)
        kept = arrays[f"stage_{stage}_kept_rows_of_current_sequence"]
        wrong += compare(f"stage_{stage}_kept_rows_of_current_sequence", rows, kept)
        original = arrays[f"stage_{stage}_original_positions"]
        wrong += compare(f"stage_{stage}_original_positions", tokens, original)
    wrong += compare("tokens_per_layer", [len(one) for one in done.inputs], arrays["tokens_per_layer"])
    wrong += compare("cache lengths", done.cache_lengths, arrays["tokens_per_layer"])
    wrong += compare("last_hidden_state", done.last_hidden, arrays["last_hidden_state"], absolute=HIDDEN)
    name = "first_decode_step_position_per_layer"
    return wrong + compare(name, done.decode_positions, arrays[name])


def _check_batch(params: Settings, arrays: Arrays) -> list[str]:
    visual, features = params["visual_tokens"], torch.from_numpy(arrays["features_in"])
    is_real = torch.from_numpy(arrays["attention_mask_in"])
    layouts = [
        layout_of(start, visual, text - start) if start >= 0 else SampleLayout("text", text, 0, 0, None)
        for start, text in zip(params["visual_start"], params["prompt_text_tokens"], strict=True)
    ]
    method = _Watched(layers=(1,), ratios=tuple(params["ratios"]))
    model, _Watched.notes[:] = _one_layer(params, arrays), []
    decoder = model.get_decoder()
    position_ids = torch.from_numpy(arrays["position_ids_in"])
    with torch.inference_mode(), attach(model, LlavaOnevision(), method, layouts=layouts) as session:
        with layer_inputs(decoder) as seen:
            decoder(
                inputs_embeds=features.to(decoder.dtype),
                attention_mask=is_real.long(),
                position_ids=position_ids,
            )
        sequence = session._thread.forward.prefill.sequence
    wrong = []
    pictured = [number for number, start in enumerate(params["visual_start"]) if start >= 0]
    for number, (scores, _, _) in zip(pictured, _Watched.notes, strict=True):
        wrong += compare(f"score_sample_{number}", scores, arrays[f"score_sample_{number}"], absolute=SCORE)
    left = sequence.is_real
    wrong += compare("attention_mask_out", left, arrays["attention_mask_out"])
    wrong += compare("features_out", seen[1] * left[..., None], arrays["features_out"])
    positions = position_ids.gather(1, sequence.position_columns) * left
    return wrong + compare("position_ids_out", positions, arrays["position_ids_out"])
