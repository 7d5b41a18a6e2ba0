"""Text after a prefill, several tokens at once: is it what token by token gives, and what a whole prompt gives?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import attach_support as support
from contracts.conformance import FIRST_PAIRS, SETTLED, accepted, method_of, model_of, prompt_of, refusal
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.evaluation.offline.evaluator import shared_logits
from focal_algorithm.hooks import attach
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import RunError, UnsupportedError

TURN = torch.tensor([[65, 66, 67, 68, 69]])
"""The next turn of a dialogue, as byte tokens."""


def reads_question(method: CompressionMethod) -> bool:
    return method.study.reads_question(method)


QUIET = [name for name in METHODS if not reads_question(support.suited(name))]


def after_turn(loaded: LoadedModel, method: CompressionMethod, prompt: Prompt, step: int) -> Tensor:
    """Return the logits behind each token of `TURN`, given ``step`` tokens at a time."""
    found = []
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, None, [prompt.layout]):
        cache = cache_of(loaded.model(**prompt.inputs, use_cache=True))
        for first in range(0, TURN.shape[1], step):
            ids = TURN[:, first : first + step]
            found.append(loaded.model(input_ids=ids, **{cache_name(): cache}, use_cache=True).logits)
    return torch.cat(found, 1)


@pytest.mark.parametrize(("name", "subject"), FIRST_PAIRS)
def test_a_turn_at_once_is_a_turn_token_by_token(name: str, subject: str) -> None:
    method = accepted(name, subject)
    loaded = model_of(subject)
    prompt = prompt_of(subject, loaded)
    at_once, single = (after_turn(loaded, method, prompt, step) for step in (TURN.shape[1], 1))
    assert torch.allclose(at_once, single, atol=1e-4)
    assert not torch.allclose(at_once[0, 0], at_once[0, -1], atol=1e-4)  # the turn is read at all


@pytest.mark.parametrize("subject", [SETTLED, "llava+image"])
@pytest.mark.parametrize("name", QUIET)
def test_shared_prefills_give_the_logits_of_whole_ones(name: str, subject: str) -> None:
    if refusal(name, subject):
        pytest.skip("refused, as the table of refusals says")
    loaded = model_of(subject)
    method = method_of(name, loaded)
    prompts = [
        prompt_of(subject, loaded, question=text) for text in ("What?", "Which of these moves?", "Who")
    ]
    with torch.inference_mode():
        with attach(loaded.model, loaded.adapter, method, None, []) as session:
            shared = shared_logits(loaded, session, prompts, {})
        for prompt, ours in zip(prompts, shared, strict=True):
            with attach(loaded.model, loaded.adapter, method, None, [prompt.layout]):
                whole = loaded.model(**prompt.inputs).logits[0, -1]
            assert torch.allclose(ours, whole, atol=1e-4)


@pytest.mark.parametrize("name", QUIET)
def test_what_does_not_read_the_question_records_the_same_for_every_question(name: str) -> None:
    loaded = support.tiny()
    method = method_of(name, loaded)
    seen = []
    for question in ("What?", "Where does it go?"):
        (sample,), _ = support.record(method, support.prompt(question=question).inputs)
        seen.append(sample.counts)
    for field in ("rows", "vectors", "unique"):
        assert torch.equal(*(torch.as_tensor(getattr(one, field)) for one in seen)), field


def test_readers_are_told_apart() -> None:
    # A method that says nothing counts as a reader, which is right and slower.
    assert set(QUIET) >= {
        "adaptiv",
        "cmc",
        "dense",
        "divprune",
        "prumerge",
        "sparsezip",
        "visionzip",
        "zip_parts",
    }
    readers = {
        "cdpruner",
        "dart",
        "fastv",
        "focus",
        "focus_sec_only",
        "framefusion",
        "pyramiddrop",
        "sparsevlm",
    }
    assert not readers & set(QUIET)
    assert not reads_question(build_method("cdpruner", {"relevance": "none"}))
    assert reads_question(build_method("visionzip", {"text_share": 0.5}))
    assert reads_question(build_method("zip_parts", {"scorer": "projected_text"}))
    assert reads_question(build_method("sparsezip", {"cross_beta": 0.3}))
    assert reads_question(build_method("sparsezip", {"text": "projected"}))


def test_prompts_must_agree_up_to_the_end_of_the_picture() -> None:
    loaded = support.tiny()
    first, second = support.prompt(), build_prompt(loaded, support.video(frames=5), "What?")
    with (
        attach(loaded.model, loaded.adapter, support.suited("dense"), None, []) as session,
        pytest.raises(RunError, match="differ before its end"),
    ):
        shared_logits(loaded, session, [first, second], {})


def test_a_picture_after_the_prefill_is_refused() -> None:
    loaded = support.tiny()
    inputs = support.prompt().inputs
    method = support.suited("focus")
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method):
        cache = cache_of(loaded.model(**inputs, use_cache=True))
        with pytest.raises(UnsupportedError, match="can bring only text"):
            loaded.model(**inputs, **{cache_name(): cache}, use_cache=True)
        embeddings = loaded.model.get_input_embeddings()(TURN)
        with pytest.raises(UnsupportedError, match="can bring only text"):
            loaded.model.get_decoder()(inputs_embeds=embeddings, **{cache_name(): cache}, use_cache=True)
