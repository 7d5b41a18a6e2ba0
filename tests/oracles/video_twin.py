"""EVS, FastVID, HoliTom and DyCoke as plain loops over tokens, written from their descriptions. Slow on purpose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def cosine(one: Array, two: Array) -> float:
    """Return the cosine; 0 where a vector is all zero."""
    norms = math.sqrt(sum(x * x for x in one)) * math.sqrt(sum(x * x for x in two))
    return 0.0 if norms == 0 else sum(x * y for x, y in zip(one, two, strict=True)) / norms


def distance(one: Array, two: Array) -> float:
    """Return the Euclidean distance over the root of the width."""
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(one, two, strict=True)) / len(one))


def best(scores: Sequence[float], count: int) -> list[int]:
    """Return the indices of the largest scores in order of score; equal scores in order."""
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:count]


# --- EVS --------------------------------------------------------------------------------------------------


def evs(video: Array, rate: float) -> list[int]:
    """Return the tokens that stay, counted frame by frame; axes (frames, tokens, width)."""
    frames, tokens, _ = video.shape
    apart = [255.0] * tokens
    for frame in range(1, frames):
        for place in range(tokens):
            now, before = video[frame, place], video[frame - 1, place]
            change = 1 - cosine(now, before)
            apart.append(0.0 if abs(change) < 1e-6 else change)  # equal but for rounding
    return sorted(best(apart, max(tokens, int(frames * tokens * (1 - rate)))))


# --- density peaks ----------------------------------------------------------------------------------------


def peaks(values: Array, count: int, neighbours: int) -> list[int]:
    """Return the dense tokens far from denser ones, the best first."""
    tokens = range(len(values))
    apart = [[distance(values[one], values[two]) for two in tokens] for one in tokens]
    dense = [math.exp(-sum(d * d for d in sorted(row)[:neighbours]) / neighbours) for row in apart]
    largest = max(max(row) for row in apart)
    scores = []
    for one in tokens:
        denser = [apart[one][two] for two in tokens if dense[two] > dense[one]]
        scores.append(dense[one] * (min(denser) if denser else largest))
    return best(scores, count)


# --- FastVID ----------------------------------------------------------------------------------------------


def dealt(count: int, hands: int) -> list[int]:
    """Deal tokens out one by one."""
    found = [0] * hands
    for number in range(count):
        found[number % hands] += 1
    return found


def segments(features: Array, count: int, threshold: float) -> list[list[int]]:
    """Return the frames of each segment."""
    alike = [cosine(one, two) for one, two in pairwise(features)]
    lowest = sorted(range(len(alike)), key=lambda index: (alike[index], index))[: count - 1]
    found: list[list[int]] = [[0]]
    for frame in range(1, len(features)):
        if frame - 1 in lowest or alike[frame - 1] < threshold:
            found.append([])
        found[-1].append(frame)
    return found


def fastvid_counts(
    segment: list[int], tokens: int, features: Array, method: Any, is_strict: bool
) -> tuple[dict[int, int], dict[int, int], bool]:
    """Return salient tokens and anchors of each frame, and whether anchors gather their own frame only."""
    size, kept = len(segment), int(tokens * method.retain_ratio)
    salient, anchors = dict.fromkeys(segment, 0), dict.fromkeys(segment, 0)
    if method.variant == "parallel" and not is_strict:
        merged = int(kept * method.merged_share)
        for frame in segment:
            salient[frame] = kept - merged
            if (segment[-1] - frame) % method.anchor_step == 0:
                anchors[frame] = merged * size // math.ceil(size / method.anchor_step)
        return salient, anchors, anchors[segment[-1]] == merged
    total, holders = kept * size, segment
    merged = int(total * method.merged_share)
    if method.variant == "sampled":
        merged = max(merged, 1)
        if size > 1:
            ends = [
                cosine(features[frame], features[frame + 1]) < method.same_frame for frame in segment[:-1]
            ]
            holders = [frame for frame, is_end in zip(segment, [*ends, True], strict=True) if is_end]
    for frame, share in zip(holders, dealt(total - merged, len(holders)), strict=True):
        salient[frame] = share
    chosen = [
        frame for place, frame in enumerate(holders) if (len(holders) - 1 - place) % method.anchor_step == 0
    ]
    for frame, share in zip(reversed(chosen), dealt(merged, len(chosen)), strict=True):
        anchors[frame] = share
    if method.variant == "sampled" and size > 1:
        for frame in segment:
            anchors[frame] = min(anchors[frame], tokens // 2)
            salient[frame] = min(salient[frame], tokens - anchors[frame])
    if is_strict:
        for frame in segment:
            anchors[frame] = min(anchors[frame], tokens - salient[frame])
    return salient, anchors, method.variant == "parallel" and len(chosen) == size


def fastvid(
    video: Array, saliency: Array, features: Array, method: Any, is_strict: bool = False
) -> dict[int, Array]:
    """Return what stays, by place counted frame by frame; ``method`` holds the parameters."""
    frames, tokens, _ = video.shape
    found: dict[int, Array] = {}
    count = min(method.segments, frames) if is_strict else method.segments
    for segment in segments(features, count, method.segment_threshold):
        salient, anchors, gathers_frame = fastvid_counts(segment, tokens, features, method, is_strict)
        rest: list[tuple[int, int]] = []
        for frame in segment:
            top = set(best(list(saliency[frame]), salient[frame]))
            found.update({frame * tokens + place: video[frame, place] for place in top})
            rest += [(frame, place) for place in range(tokens) if place not in top]
        for frame in segment:
            own = [place for where, place in rest if where == frame]
            if not anchors[frame]:
                continue
            order = peaks(video[frame, own], anchors[frame], min(4, len(own)))
            centres = [own[index] for index in order]
            groups: dict[int, list[Array]] = {place: [] for place in centres}
            for where, place in rest:
                is_own_anchor = where == frame and place in centres
                if (gathers_frame and where != frame) or (method.variant != "parallel" and is_own_anchor):
                    continue
                token = video[where, place]
                likeness = [cosine(token, video[frame, centre]) for centre in centres]
                groups[centres[best(likeness, 1)[0]]].append(token)
            for centre, members in groups.items():
                weight = max(1 / (len(members) + 1), method.anchor_weight)
                mean = sum(members) / len(members) if members else 0 * video[frame, centre]
                found[frame * tokens + centre] = weight * video[frame, centre] + (1 - weight) * mean
    return found


# --- HoliTom ----------------------------------------------------------------------------------------------


def gain(alike: Array, window: Sequence[int], threshold: float) -> int:
    """Return how many tokens merging a window of frames takes away; likeness with axes (frames - 1, places)."""
    first, last = window[0], window[-1]
    static = [
        place
        for place in range(alike.shape[1])
        if all(alike[frame, place] > threshold for frame in range(first, last))
    ]
    return (last - first) * len(static)


def largest_gain(alike: Array, threshold: float, longest: int) -> int:
    """Return the most tokens that any cut into windows takes away, by trying them all."""
    frames, most = len(alike) + 1, 0
    for cuts in range(frames):
        for chosen in combinations(range(1, frames), cuts):
            ends = [0, *chosen, frames]
            windows = [range(start, stop) for start, stop in pairwise(ends)]
            if all(len(window) <= longest for window in windows):
                most = max(most, sum(gain(alike, window, threshold) for window in windows))
    return most


def clustered(values: list[Array], count: int, method: Any) -> list[tuple[int, Array]]:
    """Return centres, ascending, each with what its cluster becomes."""
    if not count:
        return []
    stack = np.stack(values)
    centres = sorted(peaks(stack, count, min(method.neighbours, count)))
    joined: dict[int, list[Array]] = {centre: [] for centre in centres}
    for index, value in enumerate(values):
        if index not in joined:
            apart = [-distance(value, values[centre]) for centre in centres]
            joined[centres[best(apart, 1)[0]]].append(value)
    found = []
    for centre in centres:
        own, others = values[centre], joined[centre]
        if method.plain_mean:
            own = sum([*others, own]) / (len(others) + 1)
        elif others:
            weight = method.centre_weight
            own = weight * own + (1 - weight) * sum(others) / len(others)
        found.append((centre, own))
    return found


def holitom(
    video: Array, saliency: Array, windows: Sequence[tuple[int, int]], method: Any, is_strict: bool = False
) -> list[tuple[int, Array]]:
    """Return what stays, in order, each with its place counted frame by frame."""
    frames, tokens, _ = video.shape
    alike = np.array(
        [
            [cosine(video[frame, place], video[frame + 1, place]) for place in range(tokens)]
            for frame in range(frames - 1)
        ]
    )
    reduced = sum(gain(alike, range(first, last + 1), method.threshold) for first, last in windows)
    ratio = min(method.retain_ratio / ((frames * tokens - reduced) / (frames * tokens)), 1.0)
    found = []
    for first, last in windows:
        static = [
            place
            for place in range(tokens)
            if last > first and all(alike[frame, place] > method.threshold for frame in range(first, last))
        ]
        moving = [place for place in range(tokens) if place not in static]
        means = [sum(video[first : last + 1, place]) / (last - first + 1) for place in static]
        count = round(len(static) * ratio)
        if is_strict and static:
            count = max(1, count)
        found += [
            (first * tokens + static[centre], value) for centre, value in clustered(means, count, method)
        ]
        kept = math.ceil(len(moving) * ratio)
        attended = round(kept * (1 - method.merged_share))
        for frame in range(first, last + 1):
            top = sorted(best([saliency[frame, place] for place in moving], attended))
            chosen = [moving[index] for index in top]
            rest = [place for place in moving if place not in chosen]
            found += [(frame * tokens + place, video[frame, place]) for place in chosen]
            merged = clustered([video[frame, place] for place in rest], kept - attended, method)
            found += [(frame * tokens + rest[centre], value) for centre, value in merged]
    return found


def inner_merge(values: Array, attention: Sequence[float], count: int, is_strict: bool) -> dict[int, Array]:
    """Return the kept tokens with what they become."""
    kept = sorted(best(list(attention), count))
    found, members = {place: values[place] for place in kept}, {place: [values[place]] for place in kept}
    for place, value in enumerate(values):
        if place in found:
            continue
        likeness = [cosine(value, values[one]) for one in kept]
        target = kept[best(likeness, 1)[0]]
        found[target] = (found[target] + value) / 2
        members[target].append(value)
    return {place: sum(own) / len(own) for place, own in members.items()} if is_strict else found


# --- DyCoke -----------------------------------------------------------------------------------------------


def dycoke(video: Array, ratio: float, is_strict: bool = False) -> list[int]:
    """Return the tokens that stay, in order, counted frame by frame."""
    frames, tokens, _ = video.shape
    kept, every = int((1 - ratio) * tokens), list(range(tokens))
    places: dict[int, list[int]] = {}

    def least_alike(frame: int, reference: int) -> list[int]:
        apart = [-cosine(video[frame, place], video[reference, place]) for place in every]
        return sorted(best(apart, kept)) if is_strict else best(apart, kept)

    for frame in range(0, frames - 1, 2):
        places[frame] = every
        places[frame + 1] = least_alike(frame + 1, frame)
    if is_strict and frames % 2:
        places[frames - 1] = every
    for frame in range(0, frames, 4):
        if frame + 2 in places and (is_strict or frame < frames - 4):
            places[frame + 2] = least_alike(frame + 2, frame)
    return [frame * tokens + place for frame in sorted(places) for place in places[frame]]


def decoded(
    decoder: Any, embeddings: Tensor, prompt: int, visual: list[int], method: Any, is_strict: bool = False
) -> tuple[Tensor, list[float]]:
    """Return the last hidden states of a prompt and tokens after it, and how alike each one's attention is to the last.

    Tokens after the prompt read fewer keys from a layer on.

    Args:
        decoder: A stock decoder with eager attention.
        embeddings: Of all tokens, axes (tokens, hidden).
        prompt: Tokens of the prompt.
        visual: Rows of the visual tokens.
        method: Parameters of DyCoke.
        is_strict: Whether a selection goes on while attention stays the same.
    """
    tokens = len(embeddings)
    if not is_strict:
        visual = visual[:-1]
    positions = torch.arange(tokens)[None]
    lowest = torch.finfo(embeddings.dtype).min
    mask = torch.full((tokens, tokens), lowest).triu(1)
    seen: list[Tensor] = []
    alike: list[float] = []
    with torch.inference_mode():
        hidden = embeddings[None]
        tables = decoder.rotary_emb(hidden, position_ids=positions)
        for number, layer in enumerate(decoder.layers):
            handle = layer.self_attn.register_forward_hook(
                lambda _module, _args, output: seen.append(output[1])
            )
            hidden = layer(
                hidden, attention_mask=mask[None, None], position_embeddings=tables, position_ids=positions
            )
            handle.remove()
            if number != method.layer - 1:
                continue
            rows = seen[-1][0].mean(dim=0)
            mask, before, closed = mask.clone(), None, []
            for token in range(prompt, tokens):
                own = [float(rows[token, place]) for place in visual]
                likeness = 0.0 if before is None else cosine(np.array(own), np.array(before))
                alike.append(likeness)
                if likeness < 0.9:
                    read = best(own, int(len(visual) * (1 - method.pruning_rate)))
                    closed = [place for index, place in enumerate(visual) if index not in read]
                elif not is_strict:
                    closed = []
                mask[token, closed] = lowest
                before = own
        return decoder.norm(hidden)[0], alike
