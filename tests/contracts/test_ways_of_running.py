"""Every way in which people run such models is exact with every method in every family, or refused in one sentence.

Exact: the tokens and logits of the same method's plain greedy run, to rounding, and each prompt recorded once, alike.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import conformance
import pytest
import torch
from torch import Tensor

import attach_support as support
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import Session, attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, HookPoint, changes_length
from focal_algorithm.transformers_versions import cache_name, cache_of, mixes_tiles
from focal_common.errors import UnsupportedError

_NEW_TOKENS = 4


@dataclass
class _Case:
    """A method attached to a model, and a prompt."""

    subject: str
    loaded: LoadedModel
    method: CompressionMethod
    inputs: dict[str, Any]
    session: Session
    recorder: Recorder

    @property
    def tokens(self) -> int:
        return int(self.inputs["input_ids"].shape[1])

    def generate(self, **options: Any) -> Any:
        config = self.loaded.model.config
        placeholders = [getattr(config, f"{kind}_token_id", None) for kind in ("image", "video")]
        plain = {"max_new_tokens": _NEW_TOKENS, "min_new_tokens": _NEW_TOKENS, "do_sample": False}
        plain |= {"output_logits": True, "return_dict_in_generate": True}
        plain |= {"suppress_tokens": [token for token in placeholders if token is not None]}
        return self.loaded.model.generate(**{**self.inputs, **plain, **options})

    def logits(self, **options: Any) -> Tensor:
        return torch.stack(self.generate(**options).logits)[:, 0]

    def prefill(self) -> Any:
        return self.loaded.model(**self.inputs, use_cache=True)

    def step(self, cache: Any, token_ids: Tensor) -> Tensor:
        last: Tensor = self.loaded.model(input_ids=token_ids, **{cache_name(): cache}).logits[0, -1]
        return last


@contextmanager
def _attached(name: str, subject: str) -> Iterator[_Case]:
    method, loaded = conformance.accepted(name, subject), conformance.model_of(subject)
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    inputs = dict(conformance.prompt_of(subject, loaded).inputs)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder) as session:
        yield _Case(subject, loaded, method, inputs, session, recorder)


def _assisted_by_lookup(case: _Case) -> tuple[Tensor, Tensor]:
    return case.logits(prompt_lookup_num_tokens=3, max_matching_ngram_size=1), case.logits()


def _assisted_by_a_model(case: _Case) -> tuple[Tensor, Tensor]:
    family = case.loaded.adapter.family
    assistant = load_model(
        family, size="tiny", seed=8, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    ).model
    return case.logits(assistant_model=assistant), case.logits()


def _without_a_cache(case: _Case) -> tuple[Tensor, Tensor]:
    return case.logits(use_cache=False), case.logits()


def _beams(case: _Case) -> tuple[Tensor, Tensor]:
    cached, recomputed = case.generate(num_beams=2), case.generate(num_beams=2, use_cache=False)
    assert torch.equal(cached.sequences, recomputed.sequences)
    assert torch.allclose(cached.logits[0][0], case.logits()[0], atol=1e-5)
    return torch.stack(cached.logits), torch.stack(recomputed.logits)


def _several_sampled_sequences(case: _Case) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    out = case.generate(num_return_sequences=2, do_sample=True)
    alone = []
    for row in out.sequences[:, case.tokens :]:
        first = case.prefill()
        steps = [case.step(cache_of(first), token[None, None]) for token in row[:-1]]
        alone.append(torch.stack([first.logits[0, -1], *steps]))
    return torch.stack(out.logits, dim=1), torch.stack(alone)


def _fixed_cache(case: _Case) -> tuple[Tensor, Tensor]:
    return case.logits(cache_implementation="static"), case.logits()


def _second_turn_with_all_ids(case: _Case) -> tuple[Tensor, Tensor]:
    said = case.generate()
    cache, text = cache_of(said), torch.tensor([list(b" And now, what is to be seen here?")])
    ids = torch.cat([said.sequences, text], 1)
    # The last token said was never fed.
    want = case.step(copy.deepcopy(cache), ids[:, case.tokens + _NEW_TOKENS - 1 :])
    turn = {"input_ids": ids, "attention_mask": torch.ones_like(ids), cache_name(): cache}
    options = {
        "max_new_tokens": 1,
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
    }
    return case.loaded.model.generate(**turn, **options).logits[0][0], want


def _same_question_on_the_cut_cache(case: _Case) -> tuple[Tensor, Tensor]:
    """Cut the question off the cache, which leaves the pictures as it pruned them, and ask it again."""
    first, ids = case.prefill(), case.inputs["input_ids"]
    model, adapter = case.loaded.model, case.loaded.adapter
    (layout,) = adapter.layouts(model, case.inputs, ["prompt"])
    placeholders = torch.isin(ids[0], torch.tensor(adapter.placeholders(model)))
    # A mark after the pictures may be a placeholder, which only a whole prompt can bring.
    question = ids[:, max(layout.visual_stop, 1 + int(placeholders.nonzero().max())) :]
    cache = cache_of(first)
    cache.crop(-question.shape[1])
    if not case.session.points & {HookPoint.DECODE_KEYS}:
        case.step(cache, question[:, :1])  # fewer tokens than were cut off
        return case.step(cache, question[:, 1:]), first.logits[0, -1]
    # Such a method treats tokens after its prefill in a way of its own: all at once as one by one.
    at_once = case.step(copy.deepcopy(cache), question)
    return at_once, [case.step(cache, token[None, None]) for token in question[0]][-1]


def _ids_by_place(case: _Case) -> tuple[Tensor, Tensor]:
    others = {name: value for name, value in case.inputs.items() if name != "input_ids"}
    return case.loaded.model(case.inputs["input_ids"], **others).logits, case.prefill().logits


def _prefill_in_chunks(case: _Case) -> tuple[Tensor, Tensor]:
    return case.logits(prefill_chunk_size=16), case.logits()


def _labels(case: _Case) -> tuple[Tensor, Tensor]:
    ids = case.inputs["input_ids"]
    given = case.loaded.model(**case.inputs, labels=ids).loss
    logits = case.prefill().logits
    loss = torch.nn.functional.cross_entropy(logits[0, :-1].float(), ids[0, 1:])
    return given, loss


def _logits_by_place(case: _Case) -> tuple[Tensor, Tensor]:
    last = torch.tensor([case.tokens - 2, case.tokens - 1])
    return case.loaded.model(**case.inputs, logits_to_keep=last).logits, case.prefill().logits[:, -2:]


def _another_prompt_inside_generate(case: _Case) -> tuple[Tensor, Tensor]:
    other = dict(
        conformance.prompt_of(case.subject, case.loaded, seed=2, question="And what else is there?").inputs
    )
    found: list[Tensor] = []

    def ask(_ids: Tensor, scores: Tensor) -> Tensor:
        found.append(case.loaded.model(**other).logits[:, -1])
        return scores

    alone = case.loaded.model(**other).logits[:, -1]
    got = [case.logits(logits_processor=[ask], use_cache=use_cache) for use_cache in (True, False)]
    want = case.logits()
    case.recorder.samples.clear()  # the other prompt is in it too
    return torch.cat([*got, *found]), torch.cat([want, want, *[alone] * len(found)])


def _holds_a_full_window(case: _Case) -> bool:
    """Whether the stock cache forgot tokens before a window, so that nothing can be cut off it again."""
    return any(case.loaded.adapter.points(case.loaded.model).windows) and not changes_length(case.method)


_WAYS: dict[Callable[[_Case], tuple[Tensor, Tensor]], tuple[str, str]] = {
    _assisted_by_lookup: ("", ""),
    _assisted_by_a_model: ("", ""),
    _without_a_cache: ("", ""),
    _beams: ("", ""),
    _several_sampled_sequences: ("", ""),
    _fixed_cache: ("drops", "keep different numbers of them"),
    _second_turn_with_all_ids: ("", ""),
    _same_question_on_the_cut_cache: ("", ""),
    _ids_by_place: ("", ""),
    _prefill_in_chunks: ("all", "prefill_chunk_size splits the prompt"),
    _labels: ("drops", "leave labels out"),
    _logits_by_place: ("drops", "logits_to_keep counts places"),
    _another_prompt_inside_generate: ("", ""),
}
"""Each way, which methods refuse it (all, or those that drop tokens), and words of the reason."""


@pytest.mark.parametrize(("name", "subject"), conformance.FIRST_PAIRS)
def test_every_way_of_running_is_exact_or_refused(name: str, subject: str) -> None:
    with _attached(name, subject) as case:
        case.prefill()
        (plain,) = case.recorder.samples
        for way, (refusers, reason) in _WAYS.items():
            case.recorder.samples.clear()
            if (
                subject.startswith(("internvl", "smolvlm"))
                and mixes_tiles()
                and way in (_beams, _several_sampled_sequences)
            ):
                refusers, reason = "all", "repeats the tiles of pictures one by one"
            if way is _same_question_on_the_cut_cache and _holds_a_full_window(case):
                with pytest.raises(
                    (RuntimeError, ValueError), match=r"(?i)sliding window"
                ):  # by transformers itself
                    way(case)
                continue
            if refusers == "all" or (refusers == "drops" and changes_length(case.method)):
                with pytest.raises(UnsupportedError, match=reason):
                    way(case)
                continue
            got, want = way(case)
            assert got.shape == want.shape, way
            assert (got - want).abs().max() <= 1e-5 * want.abs().max(), way
            for recorded in case.recorder.samples:
                _require_same(recorded, plain, way)


def _require_same(recorded: RecordedSample, plain: RecordedSample, way: object) -> None:
    assert recorded.header.sequence_tokens == plain.header.sequence_tokens, way
    assert recorded.masks == plain.masks, way
    assert recorded.records == plain.records, way


@pytest.mark.parametrize("name", list(METHODS))
def test_threads_on_one_attached_model_get_what_each_gets_alone(name: str) -> None:
    method, loaded = support.suited(name), support.tiny()
    prompts = [support.prompt(support.video(number), "Q" + "x" * number).inputs for number in range(3)]
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    with attach(loaded.model, loaded.adapter, method, recorder):
        alone = [support.generate(inputs) for inputs in prompts]
        samples = {one.header.sequence_tokens: one for one in recorder.samples}
        recorder.samples.clear()
        found: dict[tuple[int, int], Any] = {}

        def work(number: int) -> None:
            for turn in range(3):
                found[number, turn] = support.generate(prompts[number])

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == len(recorder.samples) == 9
    for (number, _), out in found.items():
        assert all(torch.equal(a, b) for a, b in zip(out.logits, alone[number].logits, strict=True))
    for one in recorder.samples:
        assert one.masks == samples[one.header.sequence_tokens].masks
