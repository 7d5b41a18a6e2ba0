"""What the vision tower found in each picture, kept so that a sweep never runs the tower again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from focal_algorithm.hooks.tower import TowerWatch
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_algorithm.prompts.vision import VisionPoints, VisualMap
from focal_common.errors import ConfigError, UnsupportedError
from focal_common.files import atomic_path

__all__ = [
    "Features",
    "PictureFeatures",
    "VisualRows",
    "read_features",
    "see_pictures",
    "visual_rows",
    "write_features",
]

_BATCH = 32  # pictures per forward of the tower


@dataclass(frozen=True)
class PictureFeatures:
    """Of one picture.

    Attributes:
        number: Of the picture.
        attention: Attention of CLS to each patch, axes (heads, patches), float32.
        keys: Head-mean keys, axes (patches, key width), float32.
        features: Output of the tower layer that the projector takes, CLS first, axes (1 + patches, width).
        embeddings: Patches behind the projector, axes (patches, hidden).
    """

    number: int
    attention: Tensor
    keys: Tensor
    features: Tensor
    embeddings: Tensor

    def picture(self, text: Tensor) -> TowerPicture:
        """Return what a method is shown; ``text`` are embeddings of the question, axes (text tokens, hidden)."""
        return TowerPicture(
            index=self.number,
            places=torch.arange(len(self.embeddings)),
            attention=self.attention[None],
            keys=self.keys[None],
            features=self.features[1:],
            prefix=self.features[:1],
            embeddings=self.embeddings,
            text=text,
        )


Features = tuple[PictureFeatures, ...]


@torch.no_grad()
def see_pictures(
    model: Any,
    adapter: ModelAdapter,
    normalise: Callable[[Tensor], Tensor],
    pictures: NDArray[np.uint8],
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
) -> Features:
    """Run tower and projector once per picture.

    Args:
        model: With a tower that has a CLS token.
        adapter: Its family.
        normalise: From RGB in 0 to 1, channels before rows and columns, to what the tower expects.
        pictures: Axes (pictures, rows, columns, RGB), uint8.
        track: Wraps the batches to show progress.

    Raises:
        UnsupportedError: The tower has no CLS token or no projector that works row by row.
    """
    points = adapter.vision_points(model)
    if points.prefix_tokens != 1 or points.projector is None:
        raise UnsupportedError(
            f"{type(model).__name__}: the study needs a vision tower with a CLS token and a projector that works "
            "row by row; expected a LLaVA-1.5 model"
        )
    watch = TowerWatch(points, (0,))
    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, see=see: see(output))
        for module, see in watch.outputs()
    ]
    found: list[PictureFeatures] = []
    try:
        for first in track(range(0, len(pictures), _BATCH)):
            pixels = torch.from_numpy(pictures[first : first + _BATCH]).permute(0, 3, 1, 2) / 255
            watch.forget()
            points.tower(normalise(pixels))
            maps = [_one_picture(points, pixels)] * len(pixels)
            for work in watch.take(maps):
                if work is None or work.features is None:
                    raise UnsupportedError("the vision tower gave no features of a picture")
                found.append(
                    PictureFeatures(
                        number=len(found),
                        attention=work.attention[0, 0],
                        keys=work.keys[0, 0],
                        features=work.features[0],
                        embeddings=points.projector(work.features[0, 1:]),
                    )
                )
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


@dataclass(frozen=True)
class VisualRows:
    """What the decoder gets for a picture.

    Attributes:
        tokens: CLS, kept tokens, merged ones, axes (tokens, hidden).
        places: Position of each, counted from the first visual position, axes (tokens), int64.
        after: Position of the first text token after them, counted likewise.
    """

    tokens: Tensor
    places: Tensor
    after: int


@torch.no_grad()
def visual_rows(
    points: VisionPoints,
    one: PictureFeatures,
    answer: CompressedPicture | None,
    *,
    with_prefix: bool = True,
    keeps_positions: bool = False,
    keeps_text_place: bool = False,
) -> VisualRows:
    """Return the rows that the decoder gets for a picture.

    Args:
        points: The vision tower.
        one: The picture.
        answer: Of a method; None leaves the picture as it is, without CLS.
        with_prefix: Whether CLS is among the rows, as methods that act before the decoder have it.
        keeps_positions: Whether tokens keep their positions, merged ones taking that of a token they stand for
            and CLS the first; otherwise positions count up without gaps, as published.
        keeps_text_place: Whether the text stands where it does after a whole picture although the tokens before it
            are renumbered.
    """
    total = len(one.embeddings)
    if answer is None:
        return VisualRows(one.embeddings, torch.arange(total), total)
    prefix = one.features[: 1 if with_prefix else 0]
    made = torch.cat((prefix, answer.merged))
    made = points.projector(made) if points.projector is not None and len(made) else one.embeddings[:0]
    tokens = torch.cat((made[: len(prefix)], one.embeddings[answer.kept], made[len(prefix) :]))
    if not keeps_positions:
        after = total if keeps_text_place else len(tokens)
        return VisualRows(tokens, torch.arange(len(tokens)), after)
    places = torch.cat((torch.zeros(len(prefix), dtype=torch.int64), answer.kept, _stands_at(answer)))
    return VisualRows(tokens, places, total)


def _stands_at(answer: CompressedPicture) -> Tensor:
    """Return a token that each merged one stands for: its target, else the first that went into it, else the first."""
    if answer.stands_at is not None and bool((answer.stands_at >= 0).all()):
        return answer.stands_at
    tokens = torch.arange(len(answer.assignment))
    found = torch.zeros(len(answer.merged), dtype=torch.int64)
    for number in range(len(answer.merged)):
        members = tokens[answer.assignment == number]
        found[number] = members[0] if len(members) else 0
    return found


def write_features(path: Path, features: Sequence[PictureFeatures], key: str) -> None:
    """Keep features on disk for a later sweep.

    Args:
        path: An ``.npz`` file.
        features: All of one set of pictures.
        key: Tells model and pictures; see `read_features`.
    """
    arrays = {
        name: torch.stack([getattr(one, name) for one in features]).numpy()
        for name in ("attention", "keys", "features", "embeddings")
    }
    with atomic_path(path) as temporary, temporary.open("wb") as target:
        np.savez(target, key=np.array(key), **arrays)  # type: ignore[arg-type]


def read_features(path: Path, key: str) -> Features | None:
    """Return kept features; None if there are none, or they belong to another model or to other pictures.

    Raises:
        ConfigError: The file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            arrays = {
                name: torch.from_numpy(kept[name]) for name in ("attention", "keys", "features", "embeddings")
            }
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); remove it to run the tower again") from error
    count = len(arrays["attention"])
    return tuple(
        PictureFeatures(number, **{name: array[number] for name, array in arrays.items()})
        for number in range(count)
    )


def _one_picture(points: VisionPoints, pixels: Tensor) -> VisualMap:
    return VisualMap(
        pictures=1,
        place=lambda values: values.flatten(0, 1),
        picture_of_token=torch.zeros(0),
        is_one_to_one=True,
    )
