"""Do the auxiliary losses of training aim at the objects that the question is about?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from focal_algorithm.tasks.drawing import COLORS, SHAPES
from focal_algorithm.training.architecture import word_tokenizer
from focal_algorithm.training.batches import IGNORED, WINDOWS, question_batch
from focal_algorithm.training.labels import visual_labels
from focal_algorithm.training.recipe import Stage, recipe


@pytest.mark.parametrize("name", ["video", "image"])
def test_a_shape_after_a_colour_names_the_objects_that_are_both(name: str) -> None:
    chosen = recipe(name)
    tokenizer = word_tokenizer(chosen.words)
    pairs = 0
    for index in range(6):
        sample = chosen.sample(3, "val", index, Stage(4, 1, 1))
        batch = question_batch(
            [sample], [sample.questions], tokenizer, chosen.template[1], chosen.side, chosen.slot
        )
        for place, question in enumerate(sample.questions):
            words = question.text.replace("?", " ").replace(",", " ").split()
            mentioned = batch.mentions[0, place].nonzero().tolist()
            named = {(spot, (target - 1) // len(WINDOWS)) for spot, target in mentioned}
            wanted: list[set[int]] = []
            for word, before in zip(words, ["", *words], strict=False):
                if word in COLORS or word in SHAPES:
                    is_pair = word in SHAPES and before in COLORS
                    pairs += is_pair
                    wanted.append(
                        {
                            number
                            for number, one in enumerate(sample.scene.objects)
                            if (one.name == f"{before} {word}" if is_pair else word in (one.color, one.shape))
                        }
                    )
            found = [
                {target for at, target in named if at == spot} for spot in sorted({at for at, _ in named})
            ]
            assert found == [targets for targets in wanted if targets], question.text
            alone = [number for number in batch.subjects[0, place].tolist() if number != IGNORED]
            assert alone == [min(targets) for targets in wanted if len(targets) == 1], question.text
    assert pairs > 10


@pytest.mark.parametrize("name", ["video", "image"])
def test_every_visible_object_has_one_middle_in_a_frame(name: str) -> None:
    chosen = recipe(name)
    for index in range(6):
        sample = chosen.sample(4, "val", index, Stage(8, 1, 1))
        middles = visual_labels([sample], chosen.side).is_middle[0].view(len(sample.frames), -1).sum(1)
        visible = [len(np.unique(owners[owners >= 0])) for owners in sample.owners]
        assert torch.equal(middles, torch.tensor(visible, dtype=middles.dtype))
