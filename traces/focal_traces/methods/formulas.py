"""Formulas of methods that only choose tokens: what their own decisions cost in one prefill.

A formula per method, with what its paper does; what methods with tables of a trace root cost stands beside the tables.
"""

from __future__ import annotations

from focal_traces.methods.selection import SelectionContext, SelectionWork, unknown


def cdpruner(context: SelectionContext) -> SelectionWork:
    """Count cosines to the question, one row of the kernel per chosen token, and its projection on those before.

    Paper: CDPruner, NeurIPS 2025: greedy choice by determinant among all visual tokens, before layer 0.
    """
    tokens, hidden = context.sample.visual_tokens, context.geometry.hidden_elements
    chosen = context.present(0, "q_proj")
    if chosen >= tokens:
        return SelectionWork(0, "nothing is chosen where all tokens stay")
    frames = 1 if context.sample.grid is None else context.sample.grid.frames
    steps = chosen * (chosen - 1) // 2  # each picture projects on its own chosen tokens alone
    return SelectionWork(
        (2 + chosen // frames) * tokens * hidden + steps * tokens // frames**2,
        "norms, cosines to the question, rows of the kernel, and projections on the tokens chosen before",
    )


def dart(context: SelectionContext) -> SelectionWork:
    """Count the last norm, and a dot product of every pivot with every visual token.

    Paper: DART, EMNLP 2025: norms of keys, then cosines to a few pivots, before one layer.
    """
    if "image_pivots" not in context.parameters:
        return unknown("the pivots of DART")
    pivots = context.whole("image_pivots") + context.whole("text_pivots")
    return SelectionWork(
        (context.sample.sequence_tokens + pivots * context.sample.visual_tokens)
        * context.geometry.hidden_elements,
        "the last norm of all tokens, and dot products of the visual ones with every pivot",
    )


def divprune(context: SelectionContext) -> SelectionWork:
    """Count norms and the products of all pairs; choosing compares, and multiplies nothing.

    Paper: DivPrune, CVPR 2025: cosine distances of all visual tokens from one another, before layer 0.
    """
    grid, tokens = context.sample.grid, context.sample.visual_tokens
    if "scope" not in context.parameters or grid is None:
        return unknown("the pools of DivPrune")
    pools = grid.frames if context.parameters["scope"] == "picture" else 1
    pairs = pools * (-(-tokens // pools)) ** 2
    return SelectionWork(
        (pairs + tokens) * context.geometry.hidden_elements, "norms, and dot products of all pairs of a pool"
    )


def fastv(context: SelectionContext) -> SelectionWork:
    """Count products of one query per head with the keys of all tokens.

    Paper: FastV, ECCV 2024: one row of attention, of the last prompt token, in the layer before the drop.
    """
    return SelectionWork(
        context.sample.sequence_tokens * context.query_elements,
        "one row of attention over the whole prompt, beside what the layer computes itself",
    )


def framefusion(context: SelectionContext) -> SelectionWork:
    """Count cosines of every round up to the last change of the token count, and the pruning row after them.

    Paper: FrameFusion, ICCV 2025: cosines with the previous frame in each round, then one row of attention.
    """
    layers = range(context.geometry.layers)
    rounds = [context.sample.visual_tokens, *(context.present(layer, "query") for layer in layers)]
    left = [context.present(layer, "query") for layer in layers] + [context.present(layers[-1], "gate_proj")]
    changes = [
        place for place, (before, after) in enumerate(zip(rounds, left, strict=True)) if before != after
    ]
    last = changes[-1] if changes else 0
    merging = sum(2 * tokens * context.geometry.hidden_elements for tokens in rounds[: last + 1])
    pruning = (context.text_tokens + rounds[last]) * context.query_elements
    return SelectionWork(
        merging + pruning,
        "dot product and norm per token and round up to the last change, one row of attention",
    )


def prumerge(context: SelectionContext) -> SelectionWork:
    """Count the row of CLS, and for each outlier the likeness of all patches and the sum of its neighbours.

    Paper: LLaVA-PruMerge, ICCV 2025: per picture, before the projector.
    """
    shape = context.trace.header.model_shape
    if shape is None or "neighbours" not in context.parameters:
        return unknown("the vision tower behind PruMerge")
    tower = shape.vision
    width = tower.heads * tower.head_dim_elements
    chosen = context.present(0, "q_proj")
    gathered = chosen * (tower.patches + context.whole("neighbours")) * width
    return SelectionWork(
        shape.frames * 2 * tower.patches * width + gathered,
        "attention of one query, likeness of outliers to all patches, sums of neighbours and of the rest",
    )


def pyramiddrop(context: SelectionContext) -> SelectionWork:
    """Count, at each drop, the keys of all tokens, one query, and its products with the keys.

    Paper: PyramidDrop, CVPR 2025: one row of attention of the layer about to run, before it runs on fewer tokens.
    """
    geometry, total = context.geometry, 0
    kv_elements = geometry.kv_heads * geometry.head_dim_elements
    before = context.sample.visual_tokens
    for layer in range(geometry.layers):
        after = context.present(layer, "q_proj")
        if after < before:
            tokens = context.text_tokens + before
            total += tokens * geometry.hidden_elements * kv_elements
            total += geometry.hidden_elements * context.query_elements + tokens * context.query_elements
        before = after
    return SelectionWork(total, "at each drop keys of all tokens, one query, and one row of attention")


_RECYCLED_SHARE = 0.3  # source: published code


def sparsevlm(context: SelectionContext) -> SelectionWork:
    """Count rater scores, attention rows of at most all trailing text, and distances of recycled tokens.

    Paper: SparseVLM, ICML 2025: text tokens rate visual ones, dropped ones are clustered.
    """
    if "pruning_layers" not in context.parameters:
        return unknown("the pruning layers of SparseVLM")
    layers, hidden = sorted(set(context.layers("pruning_layers"))), context.geometry.hidden_elements
    text = context.sample.query_tokens
    total = context.sample.visual_tokens * text * hidden if layers else 0
    for layer in layers:
        before = context.present(layer, "q_proj")
        total += text * (context.text_tokens + before) * context.query_elements
        if context.parameters.get("version") != "2.0":
            after = context.present(min(layer + 1, context.geometry.layers - 1), "q_proj")
            recycled = int(_RECYCLED_SHARE * max(0, before - after))
            total += recycled * recycled * hidden
    return SelectionWork(
        total, "rater scores, attention rows of all trailing text, distances of recycled tokens"
    )


def sparsezip(context: SelectionContext) -> SelectionWork:
    """Count attention sums, entropy, similarities of all keys, and Lloyd rounds, over all pictures.

    Paper: SparseZip, published as code: hybrid scores over keys, then k-means of the rest.
    """
    shape, parameters = context.trace.header.model_shape, context.parameters
    if shape is None or "contextual" not in parameters:
        return unknown("the vision tower behind SparseZip")
    tower = shape.vision
    width, patches = tower.head_dim_elements, tower.patches
    scores = (1 if tower.class_tokens else tower.tokens) * tower.tokens * tower.heads
    _, entropy, mutual = (*context.numbers("alphas"), 0.0, 0.0, 0.0)[:3]
    if not parameters.get("skip_hybrid_attn"):
        scores += (patches * width if entropy else 0) + (patches * patches * width if mutual else 0)
    centres = context.whole("contextual")
    rounds = 1
    if parameters.get("variant") != "s2" and not parameters.get("skip_ctx_merge"):
        centres = int(centres * context.number("kmeans_init_factor", 1.0))
        rounds = max(1, context.whole("kmeans_iters", 1))
    rest = max(0, patches - context.whole("dominant"))
    return SelectionWork(
        shape.frames * (scores + rest * centres * width * rounds),
        "scores over attention and keys, and distances of at most all Lloyd rounds, per picture",
    )


def visionzip(context: SelectionContext) -> SelectionWork:
    """Count sums of received attention and dot products of head-mean keys, over all pictures.

    Paper: VisionZip, CVPR 2025: attention received in the tower, then likeness of keys to the contextual targets.
    """
    shape, parameters = context.trace.header.model_shape, context.parameters
    if shape is None or "dominant" not in parameters:
        return unknown("the vision tower behind VisionZip")
    tower = shape.vision
    rows = 1 if tower.class_tokens else tower.tokens
    received = rows * tower.tokens * tower.heads
    rest = max(0, tower.patches - context.whole("dominant"))
    merging = rest * context.whole("contextual") * tower.head_dim_elements
    return SelectionWork(
        shape.frames * (received + merging),
        "sums of attention received and dot products of keys, per picture",
    )


_LLOYD_ROUNDS = 10
"""Of the method's k-means; the most it takes."""


def zip_parts(context: SelectionContext) -> SelectionWork:
    """Count scores, similarities to chosen tokens, and distances of the rest to its targets, over all pictures.

    Paper: Token selection put together from parts: scores by the chosen scorer, then selector and merger.
    """
    shape, parameters = context.trace.header.model_shape, context.parameters
    if shape is None or "scorer" not in parameters:
        return unknown("the vision tower behind the parts")
    tower = shape.vision
    width, patches = tower.head_dim_elements, tower.patches
    scorer, merger = parameters["scorer"], parameters.get("merger", "none")
    scores = (
        0 if scorer == "random" else (1 if tower.class_tokens else tower.tokens) * tower.tokens * tower.heads
    )
    if scorer in ("hybrid", "hybrid_min_max"):
        _, entropy, mutual = (*context.numbers("alphas"), 0.0, 0.0, 0.0)[:3]
        scores += (patches * width if entropy else 0) + (patches * patches * width if mutual else 0)
    if scorer == "projected_text":
        scores += patches * context.geometry.hidden_elements
    kept = context.whole("dominant")
    chosen = kept * patches * width if parameters.get("selector") == "diverse" else 0
    rounds = {"none": 0, "kmeans": _LLOYD_ROUNDS}.get(str(merger), 1)
    rest = max(0, patches - kept) * context.whole("contextual") * width * rounds
    return SelectionWork(
        shape.frames * (scores + chosen + rest),
        "scores, similarities to chosen tokens, and distances of at most all rounds of merging, per picture",
    )
