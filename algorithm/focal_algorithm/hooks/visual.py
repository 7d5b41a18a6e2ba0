"""Carries out what a method decided about the pictures of one prompt, at the input of the first decoder layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.hooks.placement import device_of
from focal_algorithm.hooks.tower import TowerWork
from focal_algorithm.methods.base import CompressionMethod, Resequenced, TokenStream
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_algorithm.prompts.vision import STAYS, VisionPoints, VisualMap
from focal_common.errors import ConfigError, RunError

__all__ = ["compress_pictures"]


@dataclass(frozen=True)
class _Outcome:
    """A compressed picture in rows of the prompt; -1 for a row that is still to be found.

    ``members`` are the tokens in each merged one.
    """

    kept: Tensor
    prefix: Tensor
    merged: Tensor
    merged_at: Tensor
    members: Tensor


def compress_pictures(
    method: CompressionMethod,
    points: VisionPoints,
    visual_map: VisualMap,
    work: TowerWork,
    hidden: Tensor,
    stream: TokenStream,
    state: Any,
) -> Resequenced | None:
    """Return the shorter token sequence of a prompt; None if the method changes nothing.

    Where each token is one patch, merged features go through the projector; where the model pools patches,
    merging is done in the language model's space, with scores and keys pooled alike, and no CLS token.

    Args:
        method: The method.
        points: The vision tower.
        visual_map: From its patches to the visual tokens.
        work: On the pictures of this prompt.
        hidden: Input embeddings, axes (tokens, hidden).
        stream: Tokens of the prompt.
        state: Of the method.

    Raises:
        RunError: The tower's output holds NaN.
        ConfigError: The method asks for more tokens than there are.
    """
    seen = hidden if work.features is None else work.features
    if bool(seen.isnan().any()) or bool(work.attention.isnan().any()):
        raise RunError(
            f"{stream.layout.sample_id}: the vision tower's output holds NaN; expected finite numbers"
        )
    in_tower = visual_map.is_one_to_one and work.features is not None
    pictures = _pictures(visual_map, points, work, hidden, stream, in_tower)
    answers = [method.compress_picture(picture, state) for picture in pictures]
    if all(answer is None for answer in answers):
        return None
    merged_into = torch.arange(len(hidden), device=hidden.device)
    merged_into[stream.visual_rows] = -1
    staying = stream.visual_rows[visual_map.picture_of_token.to(hidden.device) == STAYS]
    merged_into[staying] = staying
    outcomes: list[_Outcome] = []
    for picture, answer in zip(pictures, answers, strict=True):
        rows = stream.visual_rows[picture.places]
        outcomes.append(_outcome(picture, answer, rows, merged_into))
    made_of = torch.full_like(merged_into, -1)
    new_hidden = hidden.clone()
    _fill_spare_rows(outcomes, stream, staying, method.name)
    for outcome in outcomes:
        made = torch.cat((outcome.prefix, outcome.merged))
        at = outcome.merged_at
        if len(at):
            projected = made
            if in_tower and points.projector is not None:
                projected = points.projector(made.to(device_of(points.projector, made.device)))
            new_hidden[at] = projected.to(new_hidden)
            merged_into[at] = at
            made_of[at] = torch.cat((at.new_zeros(len(outcome.prefix)), outcome.members))
    order = _order(outcomes, stream, staying, visual_map)
    renumbers = any(answer.renumbers for answer in answers if answer is not None)
    return Resequenced(order, new_hidden[order], merged_into, made_of, renumbers)


def _pictures(
    visual_map: VisualMap,
    points: VisionPoints,
    work: TowerWork,
    hidden: Tensor,
    stream: TokenStream,
    in_tower: bool,
) -> list[TowerPicture]:
    pictures, layers, heads, patches = work.attention.shape
    attention = visual_map.place(work.attention.permute(0, 3, 1, 2).reshape(pictures, patches, -1))
    keys = visual_map.place(work.keys.permute(0, 2, 1, 3).reshape(pictures, patches, -1))
    embeddings = hidden[stream.visual_rows]
    features, prefix = embeddings, embeddings[None, :0].expand(pictures, -1, -1)
    if in_tower and work.features is not None:
        features = visual_map.place(work.features[:, points.prefix_tokens :])
        prefix = work.features[:, : points.prefix_tokens]
    cls_keys = None
    if work.cls_keys is not None:
        cls_keys = visual_map.place(
            work.cls_keys[:, :, 1:].permute(0, 2, 1, 3).reshape(pictures, patches, -1)
        )
    of_token = visual_map.picture_of_token.to(hidden.device)
    found: list[TowerPicture] = []
    for index in range(pictures):
        places = (of_token == index).nonzero().flatten()
        own_keys = None
        if work.cls_keys is not None and cls_keys is not None:
            of_tokens = cls_keys[places].view(len(places), layers, -1).transpose(0, 1)
            own_keys = torch.cat((work.cls_keys[index, :, :1], of_tokens), dim=1)
        found.append(
            TowerPicture(
                index=index,
                places=places,
                attention=attention[places].view(len(places), layers, heads).permute(1, 2, 0),
                keys=keys[places].view(len(places), layers, -1).transpose(0, 1),
                features=features[places],
                prefix=prefix[index],
                embeddings=embeddings[places],
                text=hidden[stream.query_rows],
                cls_query=None if work.cls_query is None else work.cls_query[index],
                cls_keys=own_keys,
            )
        )
    return found


def _outcome(
    picture: TowerPicture, answer: CompressedPicture | None, rows: Tensor, merged_into: Tensor
) -> _Outcome:
    if answer is None:
        merged_into[rows] = rows
        none = rows[:0]
        return _Outcome(rows, picture.features[:0], picture.features[:0], none, none)
    kept = rows[answer.kept]
    merged_into[kept] = kept
    count = len(answer.merged)
    at = torch.full((count,), -1, dtype=torch.int64, device=rows.device)
    for number in range(count):
        members = rows[(answer.assignment == number).nonzero().flatten()]
        if len(members):
            stands = int(answer.stands_at[number]) if answer.stands_at is not None else -1
            at[number] = rows[stands] if stands >= 0 else members[0]
            merged_into[members] = at[number]
    prefix = picture.prefix if answer.keeps_prefix else picture.prefix[:0]
    prefix_at = at.new_full((len(prefix),), -1)
    members = torch.bincount(answer.assignment[answer.assignment >= 0], minlength=count)
    return _Outcome(kept, prefix, answer.merged, torch.cat((prefix_at, at)), members)


def _fill_spare_rows(outcomes: list[_Outcome], stream: TokenStream, staying: Tensor, name: str) -> None:
    """Give tokens that stand for no patch of their own (CLS, empty clusters) a row of a dropped one."""
    taken = torch.cat([part for outcome in outcomes for part in (outcome.kept, outcome.merged_at)])
    is_free = torch.zeros(len(stream.token_ids), dtype=torch.bool, device=staying.device)
    is_free[stream.visual_rows] = True
    is_free[staying] = False
    is_free[taken[taken >= 0]] = False
    spare = iter(is_free.nonzero().flatten().tolist())
    for outcome in outcomes:
        for number in (outcome.merged_at < 0).nonzero().flatten().tolist():
            row = next(spare, None)
            if row is None:
                raise ConfigError(
                    f"{stream.layout.sample_id}: {name} would feed more visual tokens than the "
                    f"{stream.layout.visual_tokens} there are; expected a smaller budget, "
                    "such as dominant=4 and contextual=1"
                )
            outcome.merged_at[number] = row


def _order(outcomes: list[_Outcome], stream: TokenStream, staying: Tensor, visual_map: VisualMap) -> Tensor:
    """Return the rows in their new order: text stays around and between the pictures."""
    is_canvas = visual_map.is_canvas
    start, stop = stream.visual_rows[0], stream.visual_rows[-1] + 1
    rows = torch.arange(len(stream.token_ids), device=start.device)

    def alone(outcome: _Outcome) -> list[Tensor]:
        prefix = len(outcome.prefix)
        return [outcome.merged_at[:prefix], outcome.kept, outcome.merged_at[prefix:]]

    visual: list[Tensor] = []
    of_token = visual_map.picture_of_token.to(start.device)
    for index, outcome in enumerate(outcomes[:1] if is_canvas else outcomes):
        visual += alone(outcome)
        if len(staying):
            stop_of_picture = stream.visual_rows[of_token == index][-1]
            is_next = (of_token == index + 1).nonzero().flatten()
            next_start = stream.visual_rows[is_next[0]] if len(is_next) else stop
            visual.append(staying[(staying > stop_of_picture) & (staying < next_start)])
    if is_canvas and len(outcomes) > 1:
        # Source: published order for tiles (VisionZip, CVPR 2025, sec. 4).
        parts = [alone(outcome) for outcome in outcomes[1:]]
        visual.append(torch.cat([part[1] for part in parts]).sort().values)
        visual += [part[0] for part in parts] + [part[2] for part in parts]
    return torch.cat((rows[:start], *visual, rows[stop:]))
