"""The losses beside the answers: where text looks, and linear probes that shape features and are thrown away."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from focal_algorithm.tasks.drawing import COLORS, DIRECTIONS, QUADRANTS, SHAPES
from focal_algorithm.training.batches import CATEGORIES, IGNORED, MOST_OBJECTS, WINDOWS, QuestionBatch
from focal_algorithm.training.forward import Seen
from focal_algorithm.training.labels import NUMBERS, ObjectLabels, VisualLabels

_LEAST_MASS = 1e-20
"""Keeps logarithms finite; far below what softmax leaves to a token, so that shares stay meaningful."""
_LEAST_SEEN = 1e-3
_LIVES = [1 + one * len(WINDOWS) for one in range(MOST_OBJECTS)]
_ENOUGH_NAMED, _ENOUGH_SEEN = 0.6, 0.3
"""Attention beyond this earns nothing: a word's other attention lets a head tell how much there was to see, as
counting needs; the answering token must read words as well. Assumed."""
_FREE_MASS = 0.02
"""Attention that quiet layers may spend on visual tokens at no cost: enough to rank them. Assumed."""


@dataclass(frozen=True)
class Guidance:
    """Which layers read.

    Attributes:
        quiet_layers: Leading layers in which text should spend little attention on visual tokens.
        naming_layer: Layer in which a word for a colour or a shape should look at what it names.
        reading_layers: Layers in which the answering token should look at the evidence.
    """

    quiet_layers: int = 5
    naming_layer: int = 5
    reading_layers: tuple[int, ...] = (6, 7)

    def losses(self, masses: list[Tensor], batch: QuestionBatch) -> dict[str, Tensor]:
        """Return the losses.

        Args:
            masses: Per layer, attention of text rows to targets, axes (batch, heads, Q * slot, C).
            batch: The questions.
        """
        size, questions, slot = batch.token_ids.shape
        is_text = torch.arange(slot, device=batch.answer_rows.device) <= batch.answer_rows[..., None]
        is_naming = batch.mentions.any(-1)
        mass, early, named, seen = [], [], [], []
        for layer, targets in enumerate(masses):
            shown = targets.unflatten(2, (questions, slot))
            matching = (shown * batch.mentions[:, None]).sum(-1)
            if layer < self.quiet_layers:
                total = shown[..., 0]
                mass.append((total.mean(1)[is_text] - _FREE_MASS).relu().mean())
                # Of the little attention there is: words look at what they name, all text looks at objects.
                early.append(-_share(shown[..., _LIVES].sum(-1), total)[is_text].mean())
                early.append(-_share(matching, total)[is_naming].mean())
            if layer == self.naming_layer:
                named.append(_missing(matching.mean(1), _ENOUGH_NAMED)[is_naming].mean())
            if layer in self.reading_layers:
                rows = batch.answer_rows[..., None, None].expand(size, questions, 1, shown.shape[-1])
                at_answer = shown.mean(1).gather(2, rows)[:, :, 0]
                found = (at_answer * batch.evidence).sum(-1)
                seen.append(_missing(found, _ENOUGH_SEEN)[batch.evidence.any(-1)].mean())
        return {
            "early mass": torch.stack(mass).mean(),
            "early share": torch.stack(early).mean(),
            "named": torch.stack(named).mean(),
            "evidence": torch.stack(seen).mean(),
        }


def _missing(mass: Tensor, enough: float) -> Tensor:
    return -(mass.clamp(max=enough) + _LEAST_SEEN).log()


def _share(part: Tensor, total: Tensor) -> Tensor:
    """Return the logarithm of part / total, averaged over heads; axes (batch, Q, slot)."""
    return ((part + _LEAST_MASS) / (total + _LEAST_MASS)).log().clamp(min=-20).mean(1)


class TextProbes(nn.Module):
    """Probes on hidden states of text.

    Args:
        width: Width of the decoder.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.color = nn.Linear(width, len(COLORS))
        self.shape = nn.Linear(width, len(SHAPES))
        self.direction = nn.Linear(width, len(DIRECTIONS))
        self.speed = nn.Linear(width, 2)
        self.numbers = nn.Linear(width, NUMBERS)
        self.found = nn.Linear(width, 2)
        self.pair = nn.Linear(width, 2 * NUMBERS)

    def losses(
        self, hidden: Tensor, answering: Tensor, batch: QuestionBatch, labels: ObjectLabels
    ) -> dict[str, Tensor]:
        """Return losses on words that name one object, and on whether a colour and a shape name any.

        Args:
            hidden: Axes (batch, Q, slot, width).
            answering: Answering of the token that answers, which must know which of two objects is which; axes
                (batch, Q, width).
            batch: The questions.
            labels: Labels of their objects.
        """
        is_naming = batch.subjects != IGNORED
        rows = torch.arange(len(hidden), device=hidden.device)[:, None, None].expand_as(is_naming)[is_naming]
        objects, words = batch.subjects[is_naming], hidden[is_naming].float()
        numbers = (self.numbers(words) - labels.numbers[rows, objects]).abs().mean()
        kinds = {
            name: _loss(getattr(self, name)(words), getattr(labels, name)[rows, objects])
            for name in ("color", "shape", "direction", "speed")
        }
        return {
            "word category": kinds["color"] + kinds["shape"],
            "word numbers": numbers,
            "word motion": kinds["direction"] + kinds["speed"],
            "pair numbers": self._pair_loss(answering, batch, labels),
            "word found": _loss(self.found(hidden.float()), batch.found),
        }

    def _pair_loss(self, answering: Tensor, batch: QuestionBatch, labels: ObjectLabels) -> Tensor:
        is_named = batch.pair != IGNORED
        rows = torch.arange(len(answering), device=answering.device)[:, None, None].expand_as(is_named)[
            is_named
        ]
        guesses = self.pair(answering).float().unflatten(-1, (2, NUMBERS))[is_named]
        total = (guesses - labels.numbers[rows, batch.pair[is_named]]).abs().mean(-1).sum()
        return total / is_named.sum().clamp(min=1)


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss, 0 where nothing is labelled."""
    total = functional.cross_entropy(
        logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels != IGNORED).sum().clamp(min=1)


_PARTS = (1 + len(COLORS), 1 + len(SHAPES))
_LOGITS = sum(_PARTS)
_BACKGROUND_WEIGHT = 0.1
"""Nine tokens in ten are background. Assumed."""
_OBJECT_TO_BACKGROUND, _LEAST_DRAWN = 8.0, 1e-3
"""How much more attention a token of an object should draw than one of the background: enough to rank them, and not
all there is, as the tower also has to look around. Assumed."""


class Probes(nn.Module):
    """Probes on projected visual tokens and on hidden states of the decoder.

    Args:
        width: Width of the decoder.
        summary_width: Width of the vector that summarises a frame (CLS, or the mean of the visual tokens).
    """

    def __init__(self, width: int, summary_width: int) -> None:
        super().__init__()
        self.category = nn.Linear(width, _LOGITS)
        self.centre = nn.Linear(width, 2)
        self.middle = nn.Linear(width, 1)
        self.radius = nn.Linear(width, 1)
        self.presence = nn.Linear(summary_width, CATEGORIES)
        self.deep_category = nn.Linear(width, _LOGITS)
        self.deep_time = nn.Linear(width, 1)
        self.deep_direction = nn.Linear(width, len(DIRECTIONS))
        self.deep_speed = nn.Linear(width, 2)
        self.deep_start = nn.Linear(width, len(QUADRANTS))
        self.text = TextProbes(width)

    def vision_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the probes on projected tokens."""
        probes = (self.category, self.centre, self.middle, self.radius, self.presence)
        return [parameter for probe in probes for parameter in probe.parameters()]

    def decoder_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the probes on hidden states."""
        seen = {id(parameter) for parameter in self.vision_parameters()}
        return [parameter for parameter in self.parameters() if id(parameter) not in seen]

    def vision_loss(self, seen: Seen, labels: VisualLabels) -> dict[str, Tensor]:
        """Return losses on what the tower sees; ``drawn`` only where no CLS token ranks the others."""
        tokens = seen.tokens
        is_object = labels.category > 0
        centre = (self.centre(tokens) - labels.centre).abs().mean(-1)
        middle = self.middle(tokens)[..., 0]
        radius = (self.radius(tokens)[..., 0] - labels.radius).abs()
        logits = self.presence(seen.summary)
        wanted = labels.presence[:, :, None].expand_as(logits)
        losses = {} if seen.received is None else {"drawn": _drawn_loss(seen.received, labels)}
        return losses | {
            "category": _category_loss(self.category(tokens), labels.category),
            "centre": centre[is_object].mean(),
            "middle": 4 * functional.binary_cross_entropy_with_logits(middle, labels.is_middle),
            "radius": radius[is_object].mean(),
            "presence": 4 * functional.binary_cross_entropy_with_logits(logits, wanted),
        }

    def decoder_loss(self, hidden: Tensor, labels: VisualLabels) -> dict[str, Tensor]:
        """Return losses on what visual tokens have gathered inside the decoder; axes (batch, visual, width)."""
        return {
            "deep category": _category_loss(self.deep_category(hidden), labels.category),
            "deep time": 2 * (self.deep_time(hidden)[..., 0] - labels.time).abs().mean(),
            "deep direction": _loss(self.deep_direction(hidden), labels.direction),
            "deep speed": _loss(self.deep_speed(hidden), labels.speed),
            "deep start": _loss(self.deep_start(hidden), labels.start),
        }


def _category_loss(logits: Tensor, category: Tensor) -> Tensor:
    """Return the mean loss of colour and shape, each with a class for background."""
    is_object = category > 0
    color = torch.where(is_object, 1 + (category - 1) // len(SHAPES), 0)
    shape = torch.where(is_object, 1 + (category - 1) % len(SHAPES), 0)
    losses = []
    for part, labels in zip(logits.float().split(_PARTS, -1), (color, shape), strict=True):
        weights = part.new_ones(part.shape[-1])
        weights[0] = _BACKGROUND_WEIGHT
        losses.append(functional.cross_entropy(part.flatten(0, 1), labels.flatten(), weight=weights))
    return losses[0] + losses[1]


def _drawn_loss(received: Tensor, labels: VisualLabels) -> Tensor:
    """Return how much attention the objects of a frame lack; ``received`` has axes (batch, visual).

    Without it the tower looks at itself in ways that say nothing about objects, unlike large ones, and methods that
    rank by its attention (VisionZip) do worse than chance.
    """
    batch, frames, _ = labels.presence.shape
    category = labels.category.view(batch, frames, -1)
    drawn = received.new_zeros(batch, frames, 1 + CATEGORIES)
    drawn = drawn.scatter_add(2, category, received.view_as(category))[..., 1:]
    cells = functional.one_hot(category, 1 + CATEGORIES).sum(2)
    is_there = cells[..., 1:] > 0
    wanted = _OBJECT_TO_BACKGROUND * cells[..., 1:]
    share = wanted / (wanted.sum(-1, keepdim=True) + cells[..., :1])
    lacking = (share + _LEAST_DRAWN).log() - (drawn.minimum(share) + _LEAST_DRAWN).log()
    return lacking[is_there].mean()
