"""Is a question in a packed row answered as in a prompt of its own?"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.sample import TaskSample
from focal_algorithm.training.answering import Drop, answers
from focal_algorithm.training.architecture import WORDS, word_tokenizer
from focal_algorithm.training.batches import pixels_of, question_batch
from focal_algorithm.training.forward import packed_forward, see
from focal_algorithm.training.recipe import Recipe, Stage, recipe

torch.set_num_threads(1)


def native_logits(
    model: Any, chosen: Recipe, tokenizer: Any, sample: TaskSample, question: Question
) -> torch.Tensor:
    """Last logits of a prompt of its own, through the stock forward with pixels and placeholders."""
    before = tokenizer.encode(chosen.template[0], add_special_tokens=False)
    after = tokenizer.encode(chosen.template[1].format(question=question.text), add_special_tokens=False)
    pixels = chosen.normalise(pixels_of([sample]))
    if chosen.name == "video":
        placeholder, count = model.config.video_token_id, 64 * pixels.shape[1] + 1
        visual = {"pixel_values_videos": pixels}
    else:
        placeholder, count, visual = model.config.image_token_id, 144, {"pixel_values": pixels[:, 0]}
    ids = torch.tensor([before + [placeholder] * count + after])
    return model(input_ids=ids, attention_mask=torch.ones_like(ids), **visual).logits[0, -1]


@pytest.mark.parametrize("name", ["video", "image"])
@torch.no_grad()
def test_packed_rows_equal_prompts_of_their_own(name: str) -> None:
    chosen = recipe(name)
    torch.manual_seed(0)
    model = chosen.build(len(chosen.words)).eval()
    tokenizer = word_tokenizer(chosen.words)
    samples = [chosen.sample(0, "val", index, Stage(4, 2, 1)) for index in range(2)]
    questions = [list(sample.questions[:3]) for sample in samples]
    batch = question_batch(samples, questions, tokenizer, chosen.template[1], chosen.side, chosen.slot)
    before = torch.tensor(tokenizer.encode(chosen.template[0], add_special_tokens=False))
    seen = see(model, chosen.normalise(pixels_of(samples)))
    packed = packed_forward(model, seen, before, batch)
    for row, sample in enumerate(samples):
        for place, question in enumerate(questions[row]):
            found = packed.logits[row, place, batch.answer_rows[row, place]]
            wanted = native_logits(model, chosen, tokenizer, sample, question)
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_dropping_nothing_changes_no_answer_and_dropping_agrees_at_the_input() -> None:
    chosen = recipe("video")
    torch.manual_seed(1)
    model = chosen.build(len(chosen.words)).eval()
    tokenizer = word_tokenizer(chosen.words)
    sample = chosen.sample(0, "val", 0, Stage(4, 2, 1))
    batch = question_batch(
        [sample], [sample.questions], tokenizer, chosen.template[1], chosen.side, chosen.slot
    )
    before = torch.tensor(tokenizer.encode(chosen.template[0], add_special_tokens=False))
    seen = see(model, chosen.normalise(pixels_of([sample])))
    dense = answers(model, seen, before, batch)
    scores = torch.rand(seen.tokens.shape[1])
    for layer in (1, 4):
        assert torch.equal(answers(model, seen, before, batch, Drop(layer, 1.0)), dense)
    assert torch.equal(answers(model, seen, before, batch, Drop(0, 1.0, scores)), dense)
    ranked = answers(model, seen, before, batch, Drop(0, 0.1, scores))
    assert ranked.shape == dense.shape


@pytest.mark.parametrize("name", ["video", "image"])
def test_no_question_has_an_unknown_word_or_overflows_its_slot(name: str) -> None:
    chosen = recipe(name)
    tokenizer = word_tokenizer(chosen.words)
    for index in range(40):
        for question in chosen.sample(0, "train", index, chosen.stages[-1]).questions:
            ids = tokenizer.encode(
                chosen.template[1].format(question=question.text), add_special_tokens=False
            )
            assert tokenizer.unk_token_id not in ids, question.text
            assert len(ids) < chosen.slot
            assert tokenizer.encode(question.answer, add_special_tokens=False) == [
                chosen.words.index(question.answer)
            ]
    assert tokenizer.unk_token_id not in tokenizer.encode(chosen.template[0], add_special_tokens=False)
    assert chosen.words[: len(WORDS)] == WORDS
