"""Seeded traces without a model: legal in every invariant, for tests and benchmarks.

The similarity of real activations is not modelled: a similar vector is drawn independently with a given
probability. Such traces carry the origin ``synthetic`` in their header.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from focal_common.errors import ConfigError
from focal_traces.counts.tiles import GemmTiles, assemble_counts, tile_of_tokens
from focal_traces.counts.trace import TileCounts, Trace
from focal_traces.header.published import PUBLISHED_METHOD
from focal_traces.header.schema import GEMMS, DecoderGeometry, SampleHeader, TokenGrid, TraceHeader
from focal_traces.masks.masks import MaskTrace, SampleMaskBuilder, SampleMasks
from focal_traces.masks.pointers import NO_WINNER, PointerRule, candidate_offsets
from focal_traces.synthetic.schedule import Schedule, tokens_per_gemm


@dataclass(frozen=True)
class SyntheticInput:
    """What a synthetic trace is drawn from.

    Attributes:
        geometry: Decoder shape.
        grid: Layout; S is frames x rows x columns.
        schedule: Token pruning.
        similarity: Probability that a live vector with an earlier candidate is similar, by GEMM name; the
            default resembles the published averages in order only.
        block: Frames, rows and columns searched for a match.
        vector_size: Elements per vector.
        m_tile: Tokens per m-tile, 0 for one tile.
        samples: Prefills.
        seed: Seed of all draws.
    """

    geometry: DecoderGeometry
    grid: TokenGrid
    schedule: Schedule = field(default_factory=Schedule)
    similarity: dict[str, float] = field(default_factory=lambda: dict.fromkeys(GEMMS, 0.5))
    block: tuple[int, int, int] = (2, 2, 2)
    vector_size: int = 32
    m_tile: int = 1024
    samples: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if set(self.similarity) != set(GEMMS) or not all(0 <= p <= 1 for p in self.similarity.values()):
            raise ConfigError(f"similarity must give a probability in [0, 1] for each of {', '.join(GEMMS)}")
        if self.samples < 1:
            raise ConfigError(f"samples must be at least 1, got {self.samples}")

    @property
    def visual_tokens(self) -> int:
        """S."""
        return self.grid.frames * self.grid.rows * self.grid.columns


def synthetic_header(given: SyntheticInput, notes: str = "similarity drawn at random") -> TraceHeader:
    """Return the header of traces drawn from ``given``."""
    samples = tuple(
        SampleHeader(
            sample_id=f"synthetic-{number}",
            sequence_tokens=given.visual_tokens,
            visual_start=0,
            visual_tokens=given.visual_tokens,
            grid=given.grid,
        )
        for number in range(given.samples)
    )
    return TraceHeader(
        model="synthetic",
        checkpoint="none",
        dataset="synthetic",
        geometry=given.geometry,
        method=PUBLISHED_METHOD,
        parameters={
            "selected_layers": list(given.schedule.layers),
            "alpha_list": list(given.schedule.alphas),
            "block": list(given.block),
            "similarity": dict(given.similarity),
        },
        vector_size=given.vector_size,
        m_tile=given.m_tile,
        samples=samples,
        origin="synthetic",
        seed=given.seed,
        notes=notes,
    )


def synthetic_masks(given: SyntheticInput) -> MaskTrace:
    """Draw masks: which tokens survive, which vectors are similar, and to whom.

    Winners are valid: earlier, alive, not zero, in the same m-tile and the same vector slot.
    """
    header = synthetic_header(given)
    random = np.random.default_rng(given.seed)
    return MaskTrace(header, tuple(_sample_masks(given, header, random) for _ in range(given.samples)))


def _sample_masks(given: SyntheticInput, header: TraceHeader, random: np.random.Generator) -> SampleMasks:
    rule = PointerRule(candidate_offsets(given.grid, given.block), given.grid.frames)
    builder = SampleMaskBuilder(given.geometry.layers, rule)
    tokens = tokens_per_gemm(given.schedule, given.geometry.layers, given.visual_tokens)
    alive = np.arange(given.visual_tokens)
    for layer in range(given.geometry.layers):
        for place, name in enumerate(GEMMS):
            if len(alive) > tokens[layer, place]:
                alive = np.sort(random.choice(alive, int(tokens[layer, place]), replace=False))
            is_zero = np.ones((given.visual_tokens, header.slices(name)), dtype=np.bool_)
            is_zero[alive] = False
            winners = _draw_winners(is_zero, rule, given.similarity[name], given.m_tile, random)
            builder.add(layer, name, is_zero, winners != NO_WINNER, winners)
    return builder.finish()


def _draw_winners(
    is_zero: NDArray[np.bool_],
    rule: PointerRule,
    probability: float,
    m_tile: int,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    tile = tile_of_tokens(is_zero, m_tile)
    is_alive: NDArray[np.bool_] = np.logical_not(is_zero.all(axis=1))
    is_candidate = np.zeros((len(is_alive), len(rule.offsets)), dtype=np.bool_)
    for candidate, offset in enumerate(rule.offsets):
        if 0 < offset < len(is_alive):
            is_candidate[offset:, candidate] = (
                is_alive[offset:] & is_alive[:-offset] & (tile[offset:] == tile[:-offset])
            )
    # Valid candidates of a token first, so a draw below their number picks one of them.
    ranked = np.argsort(~is_candidate, axis=1, kind="stable").astype(np.uint8)
    matched = np.flatnonzero(is_candidate.any(axis=1))
    shape = (len(matched), is_zero.shape[1])
    draws = random.random(shape, dtype=np.float32) * is_candidate[matched].sum(axis=1, keepdims=True)
    chosen = np.take_along_axis(ranked[matched], draws.astype(np.intp), axis=1)
    is_wanted = random.random(shape, dtype=np.float32) < probability
    winners = np.full(is_zero.shape, NO_WINNER, dtype=np.uint8)
    winners[matched] = np.where(is_wanted, chosen, np.uint8(NO_WINNER))
    return winners


def synthetic_counts(given: SyntheticInput) -> Trace:
    """Draw counts directly: unique vectors per tile and slice are binomial. Fast at any size."""
    header = synthetic_header(given, "unique vectors drawn from a binomial distribution")
    random = np.random.default_rng(given.seed)
    tokens = tokens_per_gemm(given.schedule, given.geometry.layers, given.visual_tokens)
    samples = []
    for _ in range(given.samples):
        blocks = []
        for row in tokens:
            for name, alive in zip(GEMMS, row.tolist(), strict=True):
                rows = tile_rows(alive, given.m_tile)
                vectors = np.repeat(rows[:, None], header.slices(name), axis=1)
                unique = random.binomial(vectors, 1 - given.similarity[name]).astype(np.int32)
                blocks.append(GemmTiles(rows, vectors, unique))
        samples.append(assemble_counts(blocks))
    return Trace(header, tuple(samples))


def counts_from_schedule(header: TraceHeader, sample: int, schedule: Schedule) -> TileCounts:
    """Return counts of pruning alone: every vector of a token that is alive is unique.

    Args:
        header: Geometry, vector size, m-tile and the sample's length.
        sample: Index into ``header.samples``.
        schedule: When and how far to prune.

    Raises:
        ConfigError: As `tokens_per_gemm`.
    """
    tokens = tokens_per_gemm(schedule, header.geometry.layers, header.samples[sample].visual_tokens)
    blocks = []
    for row in tokens:
        for name, alive in zip(GEMMS, row.tolist(), strict=True):
            rows = tile_rows(alive, header.m_tile)
            dense = np.repeat(rows[:, None], header.slices(name), axis=1)
            blocks.append(GemmTiles(rows, dense, dense))
    return assemble_counts(blocks)


def schedule_trace(header: TraceHeader, schedule: Schedule) -> Trace:
    """Return a trace of token pruning alone for every sample of a header."""
    return Trace(
        header, tuple(counts_from_schedule(header, place, schedule) for place in range(len(header.samples)))
    )


def tile_rows(alive_tokens: int, m_tile: int) -> NDArray[np.int32]:
    """Return the tokens of each m-tile: full tiles and a rest; one empty tile where nothing is alive."""
    size = m_tile if m_tile > 0 else max(alive_tokens, 1)
    edges = [*range(0, max(alive_tokens, 1), size), alive_tokens]
    return np.diff(edges).astype(np.int32)
