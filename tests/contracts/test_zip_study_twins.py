"""Do the forms of methods that only the SparseZip study has give the logits of a plain forward?"""

from __future__ import annotations

import csv
from copy import deepcopy
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
from focal.studies.sparsezip.cells import Cell, run_cells, write_answers
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.design import adaptive_part, sweep
from focal.studies.sparsezip.evaluate import Outcome, evaluated, hooked_method, method_before, selection
from focal.studies.sparsezip.methods import CutInside
from focal.studies.sparsezip.model import LoadedVisionModel, ModelUnderStudy, open_study
from focal.studies.sparsezip.questions import Asked, QuestionSet
from focal.studies.sparsezip.study_tables import write_adaptive, write_sweep
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks.attach import attach
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.models.llava import Llava
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.training.architecture import word_tokenizer
from focal_algorithm.training.recipe import recipe
from focal_common.errors import RunError

_TEXTS = ("is there a red dot in the image?", "is the blue ring left of the white wheel?")


class _Words:
    """The tokenizer of the recipe as a run needs it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, token_ids: list[int]) -> str:
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=True))

    def unknown_words(self, text: str) -> list[str]:
        return []


@lru_cache(maxsize=1)
def _study() -> ModelUnderStudy:
    own = recipe("image")
    torch.manual_seed(3)
    model = own.build(len(own.words)).eval()
    loaded = LoadedModel(model, Llava(), _Words(word_tokenizer(own.words)), "random")
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (3, 96, 96, 3), dtype=np.uint8)
    asked = tuple(
        Asked("shapes-mme", "existence", number, f"shapes-mme-{number}", text, "yes")
        for number in range(3)
        for text in _TEXTS
    )
    questions = QuestionSet(pictures, asked, {"sha256": "test", "sources": {}})
    return open_study(LoadedVisionModel(loaded, "random", "random weights"), questions)


def _hooked(method: CompressionMethod, number: int, text: str) -> Tensor:
    """Return the logits after a whole prompt from pixels and token ids, through the hooks."""
    loaded = _study().vision_model.loaded
    sample = _study().evaluator.questions.samples[number].media()
    prompt = build_prompt(loaded, sample, text)
    with (
        torch.no_grad(),
        attach(loaded.model, loaded.adapter, method, layouts=[prompt.layout]),
    ):
        logits: Tensor = loaded.model(**prompt.inputs, use_cache=False).logits[0, -1]
    return logits


def _plain(visual: Tensor, places: Tensor, after: int, text: str) -> Tensor:
    """Return the logits of a decoder that is handed these visual tokens, without any hook.

    Args:
        visual: Input embeddings, axes (tokens, hidden).
        places: Position of each, counted from the first visual position.
        after: Position of the first text token after them, counted likewise.
        text: The question.
    """
    study = _study()
    before, rest = study.token_ids(text)
    hidden = torch.cat((study.embeddings(before), visual, study.embeddings(rest)))[None]
    first = len(before)
    positions = torch.cat((torch.arange(first), first + places, first + after + torch.arange(len(rest))))
    decoder = study.model.get_decoder()
    with torch.no_grad():
        angles = decoder.rotary_emb(hidden, positions[None])
        for layer in decoder.layers:
            hidden = layer(hidden, attention_mask=None, position_embeddings=angles)
        logits: Tensor = study.model.lm_head(decoder.norm(hidden[0, -1]))
    return logits


def test_the_features_of_a_picture_are_those_of_tower_and_projector() -> None:
    study = _study()
    points = study.vision_model.points
    for number, picture in enumerate(study.features):
        pixels = torch.from_numpy(study.questions.pictures[number]).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            output = points.tower(recipe("image").normalise(pixels), output_hidden_states=True)
        features = output.hidden_states[-2][0]
        torch.testing.assert_close(torch.cat((picture.prefix, picture.features)), features)
        assert points.projector is not None
        torch.testing.assert_close(picture.embeddings, points.projector(features[1:]))
        assert picture.index == number


_PARTS: dict[str, Any] = {"merger": "none", "contextual": 0, "dominant": 30}


@pytest.mark.parametrize("keeps_positions", [False, True])
@pytest.mark.parametrize("scorer", ["attention", "random", "projected_text"])
def test_tokens_alone_are_those_that_were_chosen(scorer: str, keeps_positions: bool) -> None:
    study = _study()
    one = Configuration(
        "x", "test", "before", "zip_parts", _PARTS | {"scorer": scorer}, with_prefix=False,
        keeps_positions=keeps_positions, reads_text=scorer == "projected_text",
    )  # fmt: skip
    text = _TEXTS[1]
    for number in (1, 2):
        picture = study.features[number]
        answer = selection(study, one, picture, text)
        assert answer is not None
        assert len(answer.kept) == 30
        places = answer.kept if keeps_positions else torch.arange(30)
        after = study.visual if keeps_positions else 30
        slow = _plain(picture.embeddings[answer.kept], places, after, text)
        # The name of the prompt carries the number of the picture, as the evaluator's does.
        fast = _hooked(method_before(study, one), number, text)
        torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text_stays", [False, True])
def test_the_text_stays_where_it_was_while_tokens_are_renumbered(text_stays: bool) -> None:
    study = _study()
    one = Configuration(
        "x", "test", "before", "visionzip", {"dominant": 20, "contextual": 5}, keeps_text_place=text_stays
    )
    picture, points = study.features[0], study.vision_model.points
    answer = selection(study, one, picture)
    assert answer is not None
    assert points.projector is not None
    with torch.no_grad():
        made = points.projector(torch.cat((picture.prefix, answer.merged)))
    tokens = torch.cat((made[:1], picture.embeddings[answer.kept], made[1:]))
    slow = _plain(tokens, torch.arange(25), study.visual if text_stays else 25, _TEXTS[0])
    fast = _hooked(method_before(study, one), 0, _TEXTS[0])
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)


def test_adaptive_k_is_the_fixed_method_with_that_k() -> None:
    study = _study()
    rule = {"rule": "mass", "knob": 0.5, "k_min": 8, "k_max": 86}
    one = Configuration(
        "x", "test", "before", "sparsezip", {"dynamic_k": False, "contextual": 6}, adaptive=rule,
        keeps_positions=True,
    )  # fmt: skip
    for number in range(2):
        count = AdaptiveK(**rule).k(study.features[number].attention[0])  # type: ignore[arg-type]
        fixed = replace(one, adaptive={}, parameters={**one.parameters, "dominant": count})
        answers = [_hooked(method_before(study, which), number, _TEXTS[0]) for which in (one, fixed)]
        assert torch.equal(*answers)


@pytest.mark.parametrize("scorer", ["raters", "tower"])
def test_cuts_inside_the_decoder_leave_what_a_plain_loop_leaves(scorer: str) -> None:
    """The twin runs the decoder layer by layer and drops the rows of the lowest scores itself."""
    study = _study()
    decoder, picture, kept_at = study.model.get_decoder(), study.features[1], {0: 60, 1: 30, 3: 11}
    ranks = picture.attention[0].sum(0)
    method = CutInside(pruning_layers=tuple(kept_at), kept_tokens=tuple(kept_at.values()), scorer=scorer)
    text = _TEXTS[0]
    before, after = map(study.embeddings, study.token_ids(text))
    hidden = torch.cat((before, picture.embeddings, after))[None]
    start, tokens, places = len(before), torch.arange(study.visual), torch.arange(hidden.shape[1])
    likeness = (picture.embeddings @ after.T).softmax(-1).mean(0)
    raters = likeness > likeness.mean()
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
        plain = study.model.lm_head(decoder.norm(hidden[0, -1]))
    torch.testing.assert_close(_hooked(method, 1, text), plain, rtol=1e-4, atol=1e-4)


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


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


def test_a_failed_configuration_is_a_row_and_a_finished_one_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = _study()
    good = Configuration("good", "test", "before", "visionzip", {"dominant": 20, "contextual": 5})
    bad = Configuration("bad", "test", "before", "visionzip", {"dominant": 140, "contextual": 50})
    cells = run_cells(study, [good, bad], tmp_path)
    assert [cell.status for cell in cells] == ["done", "failed"]
    assert "contextual tokens from the 5 tokens" in cells[1].reason

    def refuse(study: ModelUnderStudy, configuration: Configuration) -> Outcome:
        raise RunError("ran again")

    again = run_cells(study, [good], tmp_path, run=refuse)
    assert again[0].outcome == cells[0].outcome
    monkeypatch.setattr("focal.studies.sparsezip.cells.source_hash", lambda package: "other code")
    assert run_cells(study, [good], tmp_path, run=refuse)[0].reason == "ran again"


def test_an_outcome_counts_what_entered_the_decoder() -> None:
    study = _study()
    one = evaluated(study, Configuration("x", "t", "before", "visionzip", {"dominant": 20, "contextual": 5}))
    assert (one.visual_tokens, one.entering, set(one.kept), set(one.merged)) == (25, 25, {19}, {5})
    inner = evaluated(study, Configuration("y", "t", "inside", "tower", {}, 64))
    assert inner.entering == 144
    assert abs(inner.visual_tokens - 64) < 0.5
    assert one.flops < inner.flops


def test_one_cut_keeps_what_the_same_scores_keep_before_the_decoder() -> None:
    study = _study()
    parameters = {"scorer": "projected_text", "merger": "none", "contextual": 0, "dominant": 21}
    before = Configuration("b", "t", "before", "zip_parts", parameters, reads_text=True)
    once = Configuration("c", "t", "inside", "projected_text", {"cut_after": 2}, 21)
    method, _ = hooked_method(study, once)
    state: Any = method.start(study.geometry, study.layout(0, _TEXTS[0]))
    text = study.embeddings(study.token_ids(_TEXTS[0])[1])
    method.compress_picture(replace(study.features[0], text=text), state)
    chosen = state.ranks.sort(descending=True, stable=True).indices[:21].sort().values
    answer = selection(study, before, study.features[0], _TEXTS[0])
    assert answer is not None
    assert torch.equal(chosen, answer.kept)
    assert evaluated(study, once).layer_tokens == (144, 144, 144, 21, 21, 21, 21, 21)


def test_what_a_run_says_of_its_model_is_read_off_the_model(tmp_path: Path) -> None:
    study = _study()
    seen = study.vision_model
    loaded = replace(seen.loaded, model=deepcopy(seen.loaded.model).double())
    double = replace(study, vision_model=replace(seen, loaded=loaded))
    cell = Cell(Configuration("x", "t", "dense", "dense"), "failed", None, "no such thing")
    write_answers(double, [cell], tmp_path, 0)
    row = _table(tmp_path / "configurations.csv")[0]
    assert (row["dtype"], row["backend"], row["status"]) == ("float64", "torch cpu, hooks", "failed")
    assert not {"fallbacks", "quantization"} & set(row)


def test_a_study_whose_reference_fails_still_writes_its_tables(tmp_path: Path) -> None:
    study = _study()
    bases = [Configuration(f"sparsezip_placed-{total}", "curve", "before", "sparsezip") for total in (21, 64)]
    rules = {"mass": AdaptiveK("mass", 0.5, 8, 86)}
    asked = [*bases, *adaptive_part(rules, 64), *(one for *_, one in sweep(21))]

    def run(study: ModelUnderStudy, configuration: Configuration) -> Outcome:
        if configuration in bases:
            raise ZeroDivisionError("a defect")
        return Outcome(("yes",) * 6, (21.0,) * 6, (21.0,) * 8, 21.0, 1.0, (8,) * 3, (12,) * 3, 0.0)

    cells = run_cells(study, asked, tmp_path, run=run)
    scores = Scores(study.questions, cells)
    write_sweep(study, scores, cells, tmp_path)
    write_adaptive(scores, cells, tmp_path)
    first, *others = _table(tmp_path / "sweep.csv")
    assert (first["status"], first["reason"]) == ("failed", "ZeroDivisionError: a defect")
    assert {row["status"] for row in others} == {"done"}
    assert len(others) == len(sweep(21))
    assert [row["status"] for row in _table(tmp_path / "adaptive.csv")] == ["done"]
    assert _table(tmp_path / "adaptive_pairs.csv") == []
