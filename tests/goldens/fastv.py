"""FastV files: one drop, budgets, ties in half precision, whole decoders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from numpy.typing import NDArray
from torch import Tensor

from focal_algorithm.kernels.ordering import select_top
from focal_algorithm.methods.base import Resequenced, TokenStream
from focal_algorithm.methods.fastv import FastV, FastVState
from goldens.comparing import Arrays, Settings, compare, load_settings
from goldens.decoder import layout_of, prefill, stored_decoder

PREFIX = "fastv_"
SCORE, HIDDEN = 1e-6, 2e-5


def check(path: Path) -> list[str]:
    """Return what differs."""
    params, arrays, wrong = load_settings(path, "fastv")
    if any(name.startswith("state_dict/") for name in arrays):
        wrong += _check_decoder(params, arrays)
    elif "count_table_round" in arrays:
        wrong += _check_budgets(params, arrays)
    elif "must_keep_local" in arrays:
        wrong += _check_ties(params, arrays)
    else:
        wrong += _check_drop(params, arrays)
    return wrong + params.unread()


def _stream(params: Settings) -> TokenStream:
    start, visual = params["visual_start"], params["visual_tokens"]
    layout = layout_of(start, visual, params["sequence"] - start - visual)
    return TokenStream.of(layout, torch.arange(params["sequence"]))


def _scores(stored: NDArray[Any], params: Settings, stream: TokenStream) -> tuple[Tensor, list[str]]:
    """Return the scores from the last row of attention, axes (heads, tokens), in the dtype that the file names."""
    rows = torch.from_numpy(stored).to(getattr(torch, params["dtype"]))
    wrong = compare("attention", rows.shape, (params["heads"], params["sequence"]))
    return rows[:, stream.visual_rows].mean(dim=0), wrong


def _check_drop(params: Settings, arrays: Arrays) -> list[str]:
    stream = _stream(params)
    scores, wrong = _scores(arrays["attention"][:, -1], params, stream)
    count = FastV(prune_ratio=params["prune_ratio"]).count(params["visual_tokens"])
    rows = stream.keeping(select_top(scores, count))
    wrong += compare("keep_count", count, params["keep_count"])
    wrong += compare("score", scores, arrays["score"], absolute=SCORE)
    wrong += compare("kept_positions", rows, arrays["kept_positions"])
    wrong += compare("position_ids_out", rows, arrays["position_ids_out"])
    return wrong + compare("hidden_out", arrays["hidden_in"][rows], arrays["hidden_out"])


def _check_budgets(params: Settings, arrays: Arrays) -> list[str]:
    stream = _stream(params)
    scores, wrong = _scores(arrays["attention_last_query_row"], params, stream)
    wrong += compare("score", scores, arrays["score"], absolute=SCORE)
    for number, ratio in enumerate(params["prune_ratios"]):
        count = FastV(prune_ratio=ratio).count(params["visual_tokens"])
        wrong += compare(f"keep_counts {ratio}", count, arrays["keep_counts"][number])
        rows = stream.keeping(select_top(scores, count))
        wrong += compare(f"kept_positions_{number}", rows, arrays[f"kept_positions_{number}"])
    for rounding, name in (("nearest", "count_table_round"), ("down", "count_table_trunc_of_keep_share")):
        table = [
            [
                FastV(prune_ratio=ratio, rounding=rounding).count(tokens)  # type: ignore[arg-type]
                for ratio in params["count_table_prune_ratios"]
            ]
            for tokens in params["count_table_visual_tokens"]
        ]
        wrong += compare(name, table, arrays[name])
    return wrong


def _check_ties(params: Settings, arrays: Arrays) -> list[str]:
    stream = _stream(params)
    scores, wrong = _scores(arrays["attention_last_query_row"], params, stream)
    wrong += compare("score", scores, arrays["score"])
    count = FastV(prune_ratio=params["prune_ratio"]).count(params["visual_tokens"])
    wrong += compare("keep_count", count, params["keep_count"])
    kept = select_top(scores, count)
    wrong += compare("lower index first", kept, arrays["recommended_kept_local_lower_index_first"])
    pool, sure = set(arrays["tie_pool_local"].tolist()), set(arrays["must_keep_local"].tolist())
    reference = arrays["reference_kept_positions"] - params["visual_start"]
    inside = reference[(reference >= 0) & (reference < params["visual_tokens"])]
    for name, chosen in (("ours", kept.tolist()), ("reference", inside.tolist())):
        taken = set(chosen) - sure
        if not sure <= set(chosen) or not taken <= pool or len(taken) != params["tie_take"]:
            wrong.append(
                f"{name}: takes {sorted(taken)} beside what must stay; expected {params['tie_take']} of {pool}"
            )
    return wrong


@dataclass(frozen=True, kw_only=True)
class _Watched(FastV):
    """FastV that notes its scores and the rows that stay."""

    notes: ClassVar[list[Tensor]] = []

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: FastVState
    ) -> Resequenced | None:
        scores = state.scores
        answer = super().before_layer(layer, hidden, stream, state)
        if answer is not None and scores is not None:
            self.notes[:] = [scores, answer.rows]
        return answer


def _check_decoder(params: Settings, arrays: Arrays) -> list[str]:
    start, visual, after = params["visual_start"], params["visual_tokens"], params["text_after"]
    layout, layer = layout_of(start, visual, after), params["agg_layer"]
    ratio = params["prune_ratio"] if "prune_ratio" in params else 1 - params["keep_share"]
    rounding = {"int": "down", "round": "nearest"}[params["count_rule"].partition("(")[0]]
    method = _Watched(layer=layer, prune_ratio=ratio, rounding=rounding)  # type: ignore[arg-type]
    wrong = compare("keep_count", method.count(visual), params["keep_count"])
    _Watched.notes.clear()
    model = stored_decoder(params, arrays)
    done = prefill(model, method, torch.from_numpy(arrays["inputs_embeds"]), layout)
    scores, rows = _Watched.notes
    wrong += compare("score_layer_before", scores, arrays["score_layer_before"], absolute=SCORE)
    wrong += compare("kept_positions", rows, arrays["kept_positions"])
    wrong += compare(
        "layer_input_after_drop", done.inputs[layer], arrays["layer_input_after_drop"], absolute=HIDDEN
    )
    wrong += compare("last_hidden_state", done.last_hidden, arrays["last_hidden_state"], absolute=HIDDEN)
    short, whole = len(arrays["kept_positions"]), layout.sequence_tokens
    expected = [whole if number < layer else short for number in range(params["layers"])]
    return wrong + compare("cache lengths", done.cache_lengths, expected)
