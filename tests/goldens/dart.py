"""DART files: one drop in both orders of the pivots, budgets, degenerate rows, a whole decoder through the hooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from focal_algorithm.kernels.duplication import key_norms
from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.methods import dart
from focal_algorithm.methods.base import AttentionOperands, Resequenced, TokenStream
from focal_algorithm.methods.dart import Dart, DartState
from goldens.comparing import Arrays, Settings, compare, load_settings
from goldens.decoder import layout_of, prefill, stored_decoder

PREFIX = "dart_"
NORM, HIDDEN = 1e-5, 2e-5


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays, wrong = load_settings(path, "dart")
    if any(name.startswith("state_dict/") for name in arrays):
        wrong += _check_decoder(params, arrays)
    elif "combos_ratio_pi_pt" in arrays:
        wrong += _check_budgets(params, arrays)
    else:
        wrong += _check_drop(params, arrays)
    return wrong + params.unread()


def _operands(params: Settings, arrays: Arrays) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return normed residual stream, key norms and rows of visual tokens and of the text after them."""
    dtype = getattr(torch, params["dtype"])
    values = torch.from_numpy(arrays["normed_hidden"]).to(dtype)
    norms = key_norms(torch.from_numpy(arrays["key_states"]).to(dtype))
    start = params["visual_start"]
    stop = start + params["visual_tokens"]
    return values, norms, torch.arange(start, stop), torch.arange(stop, stop + params["text_after"])


def _settings(params: Settings) -> dict[str, Any]:
    named = {
        "reduction_ratio": "reduction_ratio",
        "image_pivots": "pivot_image_tokens",
        "text_pivots": "pivot_text_tokens",
    }
    found = {ours: params[theirs] for ours, theirs in named.items()}
    # The early form with an absolute number of tokens, should a file have it.
    for name in ("keep_tokens", "max_num_trunction", "max_num_truncation"):
        if params.get(name):
            found["keep_tokens"] = params[name]
    return found


class _Turns:
    """Notes in which order pivots choose, and what."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.picks: list[list[int]] = []

    def __enter__(self) -> _Turns:
        self._stock = dart.least_similar
        dart.least_similar = self._noted
        return self

    def __exit__(self, *_: object) -> None:
        dart.least_similar = self._stock

    def _noted(self, values: Tensor, pivots: Any, candidates: Tensor, each: int) -> Any:
        found = self._stock(values, pivots, candidates, each)
        self.order, self.picks = list(pivots), [one.tolist() for one in found[0]]
        return found


def _check_drop(params: Settings, arrays: Arrays) -> list[str]:
    values, norms, visual, text = _operands(params, arrays)
    settings = _settings(params)
    method, keep = Dart(**settings), settings.get("keep_tokens", 0)
    wrong = compare("tokens_per_pivot", method.each(len(visual), keep), params["tokens_per_pivot"])
    wrong += compare("kept_count", method.count(len(visual), keep), params["kept_count"])
    if "key_l1_norm" in arrays:
        wrong += compare("key_l1_norm", norms.float(), arrays["key_l1_norm"], absolute=NORM, relative=NORM)
        for name, rows, count in (
            ("image_pivots_by_norm", visual, method.image_pivots),
            ("text_pivots_by_norm", text, method.text_pivots),
        ):
            wrong += compare(name, rows[top_indices(norms[rows], count)], arrays[name])
    with _Turns() as turns:
        kept = method.choose(values, norms, visual, text, keep).sort().values
    wrong += compare("pivot_order_reference", turns.order, arrays["pivot_order_reference"])
    wrong += compare("kept_positions_reference", kept, arrays["kept_positions_reference"])
    if "kept_positions_lower_index_ties" in arrays:
        name = "kept_positions_lower_index_ties"
        wrong += compare(name, kept, arrays[name])
    if "picks_per_pivot_in_reference_order" in arrays:
        name = "picks_per_pivot_in_reference_order"
        wrong += compare(name, turns.picks, arrays[name])
    if "pivot_order_listed" in arrays:
        # The strict order at the published count: pivots by kind and norm.
        strict = Dart(**settings | {"mode": "strict"})
        count = method.count(len(visual), keep)
        with _Turns() as turns:
            listed = strict.choose(values, norms, visual, text, keep)
        wrong += compare("pivot_order_listed", turns.order, arrays["pivot_order_listed"])
        rounds = method.image_pivots + sum(map(len, turns.picks))
        wrong += compare("kept_count listed", rounds, count)
        if len(listed) >= rounds:
            kept = listed[:rounds].sort().values
            wrong += compare("kept_positions_listed_order", kept, arrays["kept_positions_listed_order"])
    return wrong


def _check_budgets(params: Settings, arrays: Arrays) -> list[str]:
    values, norms, visual, text = _operands(params, arrays)
    wrong = []
    for number, (ratio, of_image, of_text) in enumerate(arrays["combos_ratio_pi_pt"].tolist()):
        method = Dart(reduction_ratio=ratio, image_pivots=int(of_image), text_pivots=int(of_text))
        count = method.count(len(visual))
        wrong += compare(f"kept_counts {number}", count, arrays["kept_counts"][number])
        with _Turns() as turns:
            kept = method.choose(values, norms, visual, text).sort().values
        wrong += compare(f"pivot_order_{number}", turns.order, arrays[f"pivot_order_{number}"])
        wrong += compare(f"kept_positions_{number}", kept, arrays[f"kept_positions_{number}"])
    table = [
        [Dart(reduction_ratio=ratio).count(tokens) for ratio in arrays["count_table_ratios"].tolist()]
        for tokens in arrays["count_table_visual_tokens"].tolist()
    ]
    wrong += compare("count_table_ratio_rule", table, arrays["count_table_ratio_rule"])
    asked = arrays["count_table_truncation_inputs"].tolist()
    counts = [Dart(keep_tokens=tokens).count(10 * max(asked), tokens) for tokens in asked]
    return wrong + compare("count_table_truncation_rule", counts, arrays["count_table_truncation_rule"])


@dataclass(frozen=True, kw_only=True)
class _Watched(Dart):
    """DART that notes the keys it is shown, what it makes of them, and the rows that stay."""

    notes: ClassVar[dict[str, Tensor]] = {}

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: DartState
    ) -> None:
        super().see_attention(layer, operands, stream, state)
        if layer == self.layer - 1:
            self.notes["key"] = operands.key

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: DartState
    ) -> Resequenced | None:
        answer = super().before_layer(layer, hidden, stream, state)
        if answer is not None and stream.final_norm is not None:
            self.notes.update(normed=stream.final_norm(hidden), rows=answer.rows)
        return answer


def _check_decoder(params: Settings, arrays: Arrays) -> list[str]:
    layout = layout_of(params["visual_start"], params["visual_tokens"], params["text_after"])
    layer = params["pruned_layer"]
    method = _Watched(layer=layer, **_settings(params))
    keep = method.keep_tokens
    wrong = compare(
        "tokens_per_pivot", method.each(params["visual_tokens"], keep), params["tokens_per_pivot"]
    )
    model = stored_decoder(params, arrays)
    with _Turns() as turns:
        done = prefill(model, method, torch.from_numpy(arrays["inputs_embeds"]), layout)
    notes = _Watched.notes
    keys = notes["key"].repeat_interleave(params["heads"] // params["kv_heads"], dim=0)
    name = "key_states_repeated_to_query_heads"
    wrong += compare(name, keys, arrays[name], absolute=HIDDEN)
    wrong += compare(
        "normed_hidden_at_drop", notes["normed"], arrays["normed_hidden_at_drop"], absolute=HIDDEN
    )
    wrong += compare("pivot_order_reference", turns.order, arrays["pivot_order_reference"])
    wrong += compare("kept_positions", notes["rows"], arrays["kept_positions"])
    wrong += compare(
        "layer_input_after_drop", done.inputs[layer], arrays["layer_input_after_drop"], absolute=HIDDEN
    )
    wrong += compare("tokens_per_layer", done.cache_lengths, arrays["tokens_per_layer"])
    # The first token after the prompt takes its true position in every layer.
    wrong += compare("decode positions", done.decode_positions, [layout.sequence_tokens] * params["layers"])
    return wrong + compare(
        "last_hidden_state", done.last_hidden, arrays["last_hidden_state"], absolute=HIDDEN
    )
