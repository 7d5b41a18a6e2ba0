"""Does the loss on the tower's attention see the real attention, and does it ask for objects?"""

from __future__ import annotations

import pytest
import torch

from focal_algorithm.training.batches import pixels_of
from focal_algorithm.training.forward import see
from focal_algorithm.training.labels import VisualLabels, visual_labels
from focal_algorithm.training.probes import _drawn_loss
from focal_algorithm.training.recipe import Stage, recipe
from focal_algorithm.training.tower_attention import tower_attention, watched_attention

VIDEO = recipe("video")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(3)


def labels(frames: int = 4) -> VisualLabels:
    return visual_labels([VIDEO.sample(0, "train", 5, Stage(frames, 1, 1))], VIDEO.side)


def test_watched_attention_is_that_of_the_eager_tower() -> None:
    model = VIDEO.build(len(VIDEO.words))
    pixels = VIDEO.normalise(pixels_of([VIDEO.sample(0, "train", 0, Stage(4, 1, 1))]))
    theirs = tower_attention(model, pixels)
    with torch.no_grad(), watched_attention(model.model.vision_tower) as watched:
        model.model.get_video_features(pixels, return_dict=True)
    exact = model.model.apply_pooling(watched.received(1)[..., None]).flatten()
    assert torch.allclose(exact, theirs, atol=1e-7)
    sampled = model.model.apply_pooling(watched.received()[..., None]).flatten()
    assert torch.corrcoef(torch.stack([sampled, theirs]))[0, 1] > 0.9


def test_what_a_frame_draws_adds_up_to_one_and_has_gradients() -> None:
    model = VIDEO.build(len(VIDEO.words))
    seen = see(model, VIDEO.normalise(pixels_of([VIDEO.sample(0, "train", 0, Stage(4, 1, 1))])))
    assert seen.received is not None
    assert torch.allclose(seen.received.view(4, -1).sum(1), torch.ones(4))
    _drawn_loss(
        seen.received, visual_labels([VIDEO.sample(0, "train", 0, Stage(4, 1, 1))], VIDEO.side)
    ).backward()
    assert model.model.vision_tower.encoder.layers[-1].self_attn.k_proj.weight.grad.abs().sum() > 0
    image = recipe("image")
    other = see(
        image.build(len(image.words)),
        image.normalise(pixels_of([image.sample(0, "train", 0, Stage(1, 1, 1))])),
    )
    assert other.received is None


def shared(weights: torch.Tensor, frames: int) -> torch.Tensor:
    parts = weights.view(1, frames, -1)
    return (parts / parts.sum(-1, keepdim=True)).flatten(1)


def test_the_loss_falls_as_objects_draw_more_up_to_what_is_enough() -> None:
    own = labels()
    is_object = (own.category > 0).float()
    assert 0 < is_object.mean() < 1
    losses = [_drawn_loss(shared(1 + gain * is_object, 4), own).item() for gain in (0.0, 1.0, 3.0, 7.0, 20.0)]
    assert losses[0] > losses[1] > losses[2] > losses[3]
    assert losses[3] == pytest.approx(0, abs=1e-5)
    assert losses[4] == pytest.approx(0, abs=1e-5)


def test_one_object_cannot_draw_for_another() -> None:
    own = labels()
    kinds = [kind for kind in own.category.unique().tolist() if kind]
    assert len(kinds) > 1
    greedy = shared(1e-3 + (own.category == kinds[0]).float(), 4)
    fair = shared(1e-3 + (own.category > 0).float(), 4)
    assert _drawn_loss(greedy, own) > _drawn_loss(fair, own) + 1
