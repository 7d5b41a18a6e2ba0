"""Formulas of methods for videos: what their own decisions cost in one prefill.

FastVID and HoliTom cut a video where its content says, which counts do not tell; their formulas take the cut that costs
most, and say so. Norms count as dot products.
"""

from __future__ import annotations

import math

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown


def evs(context: SelectionContext) -> SelectionWork:
    """Count a norm of each token and its product with the same place of the frame before.

    Paper: EVS, arXiv:2510.14624, before layer 0.
    """
    if context.sample.grid is None:
        return unknown("the frames of the video")
    tokens = context.sample.visual_tokens
    products = tokens - tokens // context.sample.grid.frames
    return SelectionWork(
        (tokens + products) * context.geometry.hidden_elements,
        "norms, and dot products with the same place of the frame before",
    )


def dycoke(context: SelectionContext) -> SelectionWork:
    """Count a norm of each token, and products of the tokens of reduced frames with the same place of an earlier one.

    Paper: DyCoke, CVPR 2025: stage 1, before layer 0. Stage 2 ranks by attention that decode steps compute anyway.
    """
    if context.sample.grid is None:
        return unknown("the frames of the video")
    frames, tokens = context.sample.grid.frames, context.sample.visual_tokens
    is_strict = context.trace.header.mode == "strict"
    odd = frames // 2
    # As published the last group of four frames keeps its third frame as it is.
    third = len(range(2, frames if is_strict else frames - 2, 4))
    return SelectionWork(
        (tokens + (odd + third) * (tokens // frames)) * context.geometry.hidden_elements,
        "norms, and dot products of reduced frames with an earlier frame; none in decode",
    )


def fastvid(context: SelectionContext) -> SelectionWork:
    """Count saliency in the tower, distances within anchor frames, and products of merged tokens with anchors.

    Paper: FastVID, NeurIPS 2025, before layer 0. Most costs the video whose segments are single frames but for one:
    anchors gather a whole segment, and every frame of its own is an anchor frame.
    """
    shape, grid, parameters = context.trace.header.model_shape, context.sample.grid, context.parameters
    if shape is None or grid is None or "merged_share" not in parameters:
        return unknown("the vision tower or the frames behind FastVID")
    if parameters["retain_ratio"] == 1:
        return SelectionWork(0, "nothing is chosen where all tokens stay")
    frames, hidden = grid.frames, context.geometry.hidden_elements
    each = context.sample.visual_tokens // frames
    kept = int(each * parameters["retain_ratio"])
    anchors = math.ceil(kept * parameters["merged_share"])
    # One variant keeps salient tokens in few frames, as many as these hold.
    pool = each if parameters["variant"] == "sampled" else each - (kept - anchors)
    longest = max(1, frames - parameters["segments"] + 1)
    merging = (longest**2 + frames - longest) * anchors * pool
    means = context.sample.visual_tokens + 2 * frames
    tower = shape.frames * shape.vision.tokens * shape.vision.hidden_elements
    return SelectionWork(
        tower + (means + frames * pool**2 + merging) * hidden,
        "one query a frame in the tower, means of frames, at most all distances in every frame, and dot products with "
        "the anchors of at most one long segment",
    )


def holitom(context: SelectionContext) -> SelectionWork:
    """Count attention received in the tower, likeness of frames, windows, clusters, and the inner stage.

    Paper: HoliTom, NeurIPS 2025, before layer 0 and once inside the decoder. Most costs the video that stands still
    for two frames at a time, all of whose places are then clustered.
    """
    shape, grid, parameters = context.trace.header.model_shape, context.sample.grid, context.parameters
    if shape is None or grid is None or "longest_window" not in parameters:
        return unknown("the vision tower or the frames behind HoliTom")
    frames, tokens = grid.frames, context.sample.visual_tokens
    hidden, each = context.geometry.hidden_elements, context.sample.visual_tokens // grid.frames
    received = shape.frames * shape.vision.tokens**2 * shape.vision.heads
    windows = frames * (frames - 1) // 2 * each
    clusters = frames // 2 * each**2
    if parameters.get("merged_share"):
        clusters += frames * each**2
    macs = received + windows + (2 * tokens - each + clusters) * hidden
    inner = parameters.get("inner_layer", 0)
    if inner and parameters.get("inner_ratio"):
        before, after = context.present(inner - 1, "q_proj"), context.present(inner, "q_proj")
        macs += (context.text_tokens + before) * context.query_elements
        macs += (before + after * (before - after)) * hidden
    return SelectionWork(
        macs,
        "sums of attention received, dot products with the next frame, comparisons over windows, at most all distances "
        "of two still frames each, and the inner stage",
    )
