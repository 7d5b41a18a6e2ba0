"""Do the fast forwards of the SparseZip study, on cached vision features, equal the hooks on a full forward?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from focal.studies.sparsezip.adaptive import AdaptiveK
from focal.studies.sparsezip.analysis import Scores
from focal.studies.sparsezip.bench import Bench, Eyes, open_bench
from focal.studies.sparsezip.cells import Cell, run_cells
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import adaptive_part, sweep
from focal.studies.sparsezip.evaluate import Outcome, evaluated, hooked_method, selection
from focal.studies.sparsezip.features import read_features, visual_rows, write_features
from focal.studies.sparsezip.forward import logits_of_rows
from focal.studies.sparsezip.inside import CutInside
from focal.studies.sparsezip.provenance import write_answers
from focal.studies.sparsezip.questions import Asked, QuestionSet
from focal.studies.sparsezip.study_tables import write_adaptive, write_sweep
from focal.studies.sparsezip.tables import read_table
from focal_algorithm.hooks.attach import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.models.llava import Llava
from focal_algorithm.training.architecture import word_tokenizer
from focal_algorithm.training.recipe import recipe
from focal_common.errors import ConfigError, RunError

_TEXTS = ("is there a red dot in the image?", "is the blue ring left of the white wheel?")
_BEFORE: list[tuple[str, dict[str, Any], bool]] = [
    ("visionzip", {"dominant": 20, "contextual": 5}, False),
    ("visionzip", {"dominant": 20, "contextual": 5, "text_share": 0.6}, True),
    ("sparsezip", {"dynamic_k": False, "dominant": 17, "contextual": 6}, False),
    (
        "zip_parts",
        {"scorer": "hybrid", "selector": "diverse", "merger": "targets_mean", "dominant": 12},
        False,
    ),
]


@lru_cache(maxsize=1)
def _bench() -> Bench:
    own = recipe("image")
    torch.manual_seed(3)
    model = own.build(len(own.words)).eval()
    adapter = Llava()
    eyes = Eyes(
        model, adapter, word_tokenizer(own.words), adapter.vision_points(model), "random", "random weights"
    )
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    asked = tuple(
        Asked("shapes-mme", "existence", number, f"shapes-mme-{number}", text, "yes")
        for number in range(3)
        for text in _TEXTS
    )
    return open_bench(eyes, QuestionSet(pictures, asked, {"sha256": "test", "sources": {}}))


def _hooked(method: CompressionMethod, number: int, text: str) -> tuple[Tensor, Recorder]:
    """Return the logits of a full forward from pixels and token ids, and what the hooks recorded."""
    bench = _bench()
    prompts, model = bench.prompts, bench.eyes.model
    placeholders = torch.full((bench.visual,), model.config.image_token_id)
    ids = torch.cat((prompts.opening, placeholders, prompts.texts[text]))[None]
    pixels = torch.from_numpy(bench.questions.pictures[number]).permute(2, 0, 1)[None] / 255
    recorder = Recorder(bench.geometry, method)
    with torch.no_grad(), attach(model, bench.eyes.adapter, method, recorder):
        output = model(input_ids=ids, pixel_values=recipe("image").normalise(pixels), use_cache=False)
    return output.logits[0, -1], recorder


@pytest.mark.parametrize(("method", "parameters", "reads_text"), _BEFORE)
def test_cached_features_give_the_answers_of_the_full_forward(
    method: str, parameters: Mapping[str, Any], reads_text: bool
) -> None:
    bench = _bench()
    one = Configuration("x", "test", "before", method, parameters, reads_text=reads_text)
    for picture in bench.features[:2]:
        rows = [
            visual_rows(bench.eyes.points, picture, selection(bench, one, picture, text)) for text in _TEXTS
        ]
        fast = logits_of_rows(bench.eyes.model, bench.prompts, rows, _TEXTS)
        for place, text in enumerate(_TEXTS):
            slow, _ = _hooked(build_method(method, parameters), picture.number, text)
            torch.testing.assert_close(fast[place], slow, rtol=1e-4, atol=1e-4)


def test_keeping_all_tokens_in_place_is_the_dense_answer_in_both_numberings() -> None:
    bench = _bench()
    everything = Configuration(
        "x", "test", "before", "zip_parts", {"merger": "none", "dominant": 143, "contextual": 0}
    )
    picture = bench.features[0]
    answer = selection(bench, everything, picture)
    kept = visual_rows(bench.eyes.points, picture, answer, with_prefix=False, keeps_positions=True)
    assert kept.after == bench.visual
    assert kept.places.tolist() == answer.kept.tolist()
    renumbered = visual_rows(bench.eyes.points, picture, answer, with_prefix=False)
    assert renumbered.after == 143
    text_kept = visual_rows(bench.eyes.points, picture, answer, with_prefix=False, keeps_text_place=True)
    assert (text_kept.after, text_kept.places.tolist()) == (bench.visual, list(range(143)))
    dense, _ = _hooked(build_method("dense", {}), 0, _TEXTS[0])
    whole = visual_rows(bench.eyes.points, picture, None)
    fast = logits_of_rows(bench.eyes.model, bench.prompts, [whole], _TEXTS[:1])[0]
    torch.testing.assert_close(fast, dense, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scorer", ["raters", "tower"])
def test_cuts_inside_the_decoder_leave_what_a_plain_loop_leaves(scorer: str) -> None:
    """The twin runs the decoder layer by layer and drops the rows of the lowest scores itself."""
    bench = _bench()
    decoder, picture, kept_at = bench.eyes.model.get_decoder(), bench.features[1], {0: 60, 1: 30, 3: 11}
    ranks = picture.attention.sum(0)
    method = CutInside(
        pruning_layers=tuple(kept_at),
        kept_tokens=tuple(kept_at.values()),
        ranks={"picture 1": ranks} if scorer == "tower" else {},
    )
    text = _TEXTS[0]
    opening = decoder.embed_tokens(bench.prompts.opening)
    rows = torch.cat((opening, picture.embeddings, bench.text_embeddings(text)))[None]
    with (
        torch.no_grad(),
        attach(bench.eyes.model, bench.eyes.adapter, method, layouts=[bench.layout("picture 1", text)]),
    ):
        hooked = decoder(inputs_embeds=rows, use_cache=False).last_hidden_state[0, -1]

    start, tokens = len(opening), torch.arange(bench.visual)
    words = bench.text_embeddings(text)
    likeness = (picture.embeddings @ words.T).softmax(-1).mean(0)
    raters = likeness > likeness.mean()
    hidden, places = rows, torch.arange(rows.shape[1])
    with torch.no_grad():
        for index, layer in enumerate(decoder.layers):
            angles = decoder.rotary_emb(hidden, places[None])
            scores = (
                ranks[tokens]
                if scorer == "tower"
                else _relevance(layer, hidden, angles, raters, start, len(tokens))
            )
            hidden = layer(hidden, attention_mask=None, position_embeddings=angles)
            if index in kept_at:
                chosen = scores.sort(descending=True, stable=True).indices[: kept_at[index]].sort().values
                rest = torch.arange(start + len(tokens), hidden.shape[1])
                present = torch.cat((torch.arange(start), start + chosen, rest))
                hidden, places, tokens = hidden[:, present], places[present], tokens[chosen]
        plain = decoder.norm(hidden[0, -1])
    torch.testing.assert_close(hooked, plain, rtol=1e-4, atol=1e-4)


def _relevance(layer: Any, hidden: Tensor, angles: Any, raters: Tensor, start: int, visual: int) -> Tensor:
    """Return the attention to each visual token, mean over heads and rating text tokens."""
    attention, normed = layer.self_attn, layer.input_layernorm(hidden)
    tokens = hidden.shape[1]

    def heads(values: Tensor) -> Tensor:
        split = values.view(tokens, -1, attention.head_dim).transpose(0, 1)
        first, second = split.chunk(2, -1)
        return split * angles[0] + torch.cat((-second, first), -1) * angles[1]

    query, key = heads(attention.q_proj(normed)), heads(attention.k_proj(normed))
    key = key.repeat_interleave(attention.num_key_value_groups, 0)
    scores = (query @ key.transpose(1, 2)) * attention.scaling
    scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -torch.inf).softmax(-1)
    return scores[:, start + visual :][:, raters, start : start + visual].mean((0, 1))


def test_features_kept_on_disk_are_those_of_the_tower(tmp_path: Path) -> None:
    bench = _bench()
    path = tmp_path / "features.npz"
    write_features(path, bench.features, "key")
    again = read_features(path, "key")
    assert again is not None
    one = Configuration("x", "test", "before", "sparsezip", {"dominant": 17, "contextual": 6})
    for first, second in zip(bench.features, again, strict=True):
        assert torch.equal(selection(bench, one, first).kept, selection(bench, one, second).kept)
    assert read_features(path, "another model") is None
    path.write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="remove it to run the tower again"):
        read_features(path, "key")


def test_a_failed_configuration_is_a_row_and_a_finished_one_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = _bench()
    good = Configuration("good", "test", "before", "visionzip", {"dominant": 20, "contextual": 5})
    bad = Configuration("bad", "test", "before", "visionzip", {"dominant": 140, "contextual": 50})
    cells = run_cells(bench, [good, bad], tmp_path)
    assert [cell.status for cell in cells] == ["done", "failed"]
    assert "contextual tokens from the 5 tokens" in cells[1].reason

    def refuse(bench: Bench, configuration: Configuration) -> Outcome:
        raise RunError("ran again")

    again = run_cells(bench, [good], tmp_path, run=refuse)
    assert again[0].outcome == cells[0].outcome
    monkeypatch.setattr("focal.studies.sparsezip.cells.source_hash", lambda package: "other code")
    assert run_cells(bench, [good], tmp_path, run=refuse)[0].reason == "ran again"


def test_an_outcome_counts_what_entered_the_decoder() -> None:
    bench = _bench()
    one = evaluated(bench, Configuration("x", "t", "before", "visionzip", {"dominant": 20, "contextual": 5}))
    assert (one.visual_tokens, one.entering, set(one.kept), set(one.merged)) == (25, 25, {19}, {5})
    inner = evaluated(bench, Configuration("y", "t", "inside", "tower", {}, 64))
    assert inner.entering == 144
    assert abs(inner.visual_tokens - 64) < 0.5
    assert one.flops < inner.flops


def test_one_cut_keeps_what_the_same_scores_keep_before_the_decoder() -> None:
    bench = _bench()
    parameters = {"scorer": "projected_text", "merger": "none", "contextual": 0, "dominant": 21}
    before = Configuration("b", "t", "before", "zip_parts", parameters, reads_text=True)
    once = Configuration("c", "t", "inside", "projected_text", {"cut_after": 2}, 21)
    method, _ = hooked_method(bench, once)
    assert isinstance(method, CutInside)
    scores = method.ranks[f"picture 0, {_TEXTS[0]}"]
    chosen = scores.sort(descending=True, stable=True).indices[:21].sort().values
    assert torch.equal(chosen, selection(bench, before, bench.features[0], _TEXTS[0]).kept)
    assert evaluated(bench, once).layer_tokens == (144, 144, 144, 21, 21, 21, 21, 21)


def test_what_a_run_says_of_its_model_is_read_off_the_model(tmp_path: Path) -> None:
    bench = _bench()
    double = replace(bench, eyes=replace(bench.eyes, model=torch.nn.Linear(1, 1, dtype=torch.float64)))
    cell = Cell(Configuration("x", "t", "dense", "dense"), "failed", None, "no such thing")
    write_answers(double, [cell], tmp_path, 0)
    row = read_table(tmp_path / "configurations.csv")[0]
    assert (row["dtype"], row["backend"], row["status"]) == ("float64", "torch cpu", "failed")
    assert not {"fallbacks", "quantization"} & set(row)


def test_a_study_whose_reference_fails_still_writes_its_tables(tmp_path: Path) -> None:
    bench = _bench()
    bases = [Configuration(f"sparsezip_placed-{total}", "curve", "before", "sparsezip") for total in (21, 64)]
    rules = {"mass": AdaptiveK("mass", 0.5, 8, 86)}
    asked = [*bases, *adaptive_part(rules, 64), *(one for *_, one in sweep(21))]

    def run(bench: Bench, configuration: Configuration) -> Outcome:
        if configuration in bases:
            raise ZeroDivisionError("a defect")
        return Outcome(("yes",) * 6, (21.0,) * 6, (21.0,) * 8, 21.0, 1.0, (8,) * 3, (12,) * 3, 0.0)

    cells = run_cells(bench, asked, tmp_path, run=run)
    scores = Scores(bench.questions, cells)
    write_sweep(bench, scores, cells, tmp_path)
    write_adaptive(scores, cells, tmp_path)
    first, *others = read_table(tmp_path / "sweep.csv")
    assert (first["status"], first["reason"]) == ("failed", "ZeroDivisionError: a defect")
    assert {row["status"] for row in others} == {"done"}
    assert len(others) == len(sweep(21))
    assert [row["status"] for row in read_table(tmp_path / "adaptive.csv")] == ["done"]
    assert read_table(tmp_path / "adaptive_pairs.csv") == []
