"""Does a padded batch give each sample what it gets alone?"""

from __future__ import annotations

import pytest
import torch

import attach_support as support
from focal_algorithm.hooks import attach
from focal_algorithm.methods.focus import Focus
from focal_algorithm.tracing.prompting import Prompt

PRUNING = Focus(**support.PRUNING)


def two_videos(attention: str) -> list[Prompt]:
    return [
        support.prompt(support.video(1), "What?", attention),
        support.prompt(support.video(2), "And what of this longer question?", attention),
    ]


def two_images(attention: str) -> list[Prompt]:
    return [
        support.prompt(support.image(3, 140, 70), "What?", attention),
        support.prompt(support.image(4, 70, 200), "And what of this longer question?", attention),
    ]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("make", [two_videos, two_images])
def test_a_batch_of_two_records_what_two_batches_of_one_record(
    make: object, side: str, attention: str
) -> None:
    prompts = make(attention)  # type: ignore[operator]
    together, _ = support.record(PRUNING, support.padded(prompts, side), attention)
    alone = [support.record(PRUNING, p.inputs, attention)[0][0] for p in prompts]
    assert len(together) == 2
    for one, other in zip(together, alone, strict=True):
        assert one.masks == other.masks
        assert one.header.visual_tokens == other.header.visual_tokens > 0


def test_images_of_different_size_keep_different_numbers_of_tokens() -> None:
    layouts = [p.layout for p in two_images("sdpa")]
    assert layouts[0].visual_tokens != layouts[1].visual_tokens


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("make", [two_videos, two_images])
def test_greedy_decoding_of_a_left_padded_batch_equals_single_runs(make: object, attention: str) -> None:
    prompts = make(attention)  # type: ignore[operator]
    loaded = support.tiny(attention)
    with attach(loaded.model, loaded.adapter, PRUNING, layouts=[p.layout for p in prompts]) as session:
        together = support.generate(support.padded(prompts, "left"), attention)
        alone = []
        for p in prompts:
            session.layouts = [p.layout]
            alone.append(support.generate(p.inputs, attention))
    for row, single in enumerate(alone):
        assert together.sequences[row, -5:].tolist() == single.sequences[0, -5:].tolist()
        difference = torch.stack(together.logits)[:, row] - torch.stack(single.logits)[:, 0]
        assert difference.abs().max() < 2e-5


def test_a_text_only_row_beside_a_pruned_row_is_untouched() -> None:
    loaded = support.tiny()
    with_video = support.prompt()
    words = torch.tensor([loaded.tokenizer.encode("Nothing to see here.")])
    layout = type(with_video.layout)("text", words.shape[1], 0, 0, None)
    text = Prompt({"input_ids": words, "attention_mask": torch.ones_like(words)}, layout)
    batch = support.padded([with_video, text], "left")
    samples, output = support.record(PRUNING, batch)
    _, alone = support.record(PRUNING, text.inputs)
    assert [sample.header.visual_tokens for sample in samples] == [36, 0]
    assert torch.allclose(output.logits[1, -1], alone.logits[0, -1], atol=1e-5)
