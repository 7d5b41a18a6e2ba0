"""Calibrated stand-ins: a few hundred solved integers that expand into tier-1 counts.

The masks behind the published Focus results were never released. A recipe holds, for each (layer, GEMM), the
token count that the published schedule gives and the number of unique vectors that a solver found, such that
the published row follows. Nothing in it was measured; what derives from it is ``synthetic, calibrated``.

Sums come straight from the recipe. Only who asks for tiles pays for the expansion.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, TraceError
from focal_common.files import atomic_write_text
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from focal_traces.counts import GemmTotals, TileCounts, Trace
from focal_traces.schedule import Schedule, tokens_per_gemm
from focal_traces.schema import GEMMS, QWEN2_7B, SampleHeader, TokenGrid, TraceHeader, slices_per_token

__all__ = ["RECIPE_SUFFIX", "CalibratedTrace", "Recipe", "TileSpread", "read_recipe", "write_recipe"]

RECIPE_SUFFIX = ".calibrated.json"

_GOLDEN_FRACTION = 0.6180339887498949
"""Fractional part of the golden ratio: its multiples modulo one fill [0, 1) evenly (Weyl sequence)."""


_QUIET_FROM, _QUIET_TO = 0.01, 0.08
"""Smallest and largest share of unique vectors in a quiet entry; assumed: 1 to 8 % of 1024 rows spans the
published minimum of 10 vectors."""

_TINY = float(np.finfo(np.float64).tiny)


class TileSpread(StrictModel):
    """How unique counts scatter around the mean of their (layer, GEMM): logistic in the logit of the share.

    Attributes:
        below: Spread of the logit towards smaller shares.
        above: Spread of the logit towards larger shares.
        largest_share: Upper end of the share of vectors that stay unique, in (0, 1].
        quiet_fraction: Fraction of entries in which nearly all vectors are similar, per unit of mean
            similarity of the (layer, GEMM); these channels make the lower tail of the published histogram.
    """

    below: float = Field(ge=0)
    above: float = Field(ge=0)
    largest_share: float = Field(gt=0, le=1)
    quiet_fraction: float = Field(ge=0, lt=1)


class Recipe(StrictModel):
    """One calibrated stand-in, as stored in ``NAME.calibrated.json``.

    Attributes:
        recipe_version: Version of this file format.
        origin: Always ``synthetic, calibrated``.
        model: Model family of the published row.
        dataset: Dataset of the published row.
        variant: Folder and, for sweeps, the swept value, such as ``m_tile_size_dse/512``.
        target: Which published row the counts were solved for.
        visual_tokens: S.
        frames: Frames in S.
        patches_per_frame: Patches per frame.
        selected_layers: Layers that prune tokens.
        alpha_list: Fraction of S kept from each selected layer on.
        similarity_threshold: Cosine threshold of the published run.
        m_tile: Tokens per m-tile; 0 means one tile.
        vector_size: Elements per vector.
        block: Concentration block, frames x height x width.
        tile_spread: How counts scatter over tiles and slices.
        unique_vectors: L of every layer, by GEMM.
        prior: Solved parameters of the smooth prior, by name; for a reader, never used in the expansion.
    """

    recipe_version: Literal[1] = 1
    origin: Literal["synthetic, calibrated"] = "synthetic, calibrated"
    model: str
    dataset: str
    variant: str
    target: str
    visual_tokens: PositiveInt
    frames: PositiveInt
    patches_per_frame: PositiveInt
    selected_layers: tuple[NonNegativeInt, ...]
    alpha_list: tuple[PositiveFloat, ...]
    similarity_threshold: float
    m_tile: NonNegativeInt
    vector_size: PositiveInt
    block: str
    tile_spread: TileSpread
    unique_vectors: dict[str, tuple[PositiveInt, ...]]
    prior: dict[str, tuple[float, ...]] = Field(default_factory=dict)

    def header(self) -> TraceHeader:
        """Return the header of the trace that the recipe stands for."""
        return TraceHeader(
            model=self.model,
            checkpoint="none: no forward was run",
            dataset=self.dataset,
            geometry=QWEN2_7B,
            method="focus",
            parameters={
                "selected_layers": list(self.selected_layers),
                "alpha_list": list(self.alpha_list),
                "similarity_threshold": self.similarity_threshold,
                "block": self.block,
                "frames": self.frames,
                "patches_per_frame": self.patches_per_frame,
                "variant": self.variant,
            },
            vector_size=self.vector_size,
            m_tile=self.m_tile,
            samples=(
                SampleHeader(
                    sample_id=f"{self.model}/{self.dataset}",
                    sequence_tokens=self.visual_tokens,
                    visual_start=0,
                    visual_tokens=self.visual_tokens,
                    grid=TokenGrid(
                        frames=self.frames,
                        rows=1,
                        columns=self.patches_per_frame,
                        frame_stride=self.patches_per_frame,
                        row_stride=self.patches_per_frame,
                        column_stride=1,
                    ),
                ),
            ),
            median_index=0,
            origin=self.origin,
            notes=f"Stand-in for masks that were never released, solved for: {self.target}. "
            "Text tokens, rows and columns of the grid are unknown.",
        )

    def totals(self) -> GemmTotals:
        """Return the sums over tiles and slices without building the tiles.

        Raises:
            TraceError: A GEMM or layer is missing, or a count exceeds the vectors that are alive.
        """
        layers = QWEN2_7B.layers
        slices = np.array(
            [slices_per_token(QWEN2_7B.input_elements(gemm), self.vector_size) for gemm in GEMMS]
        )
        for gemm in GEMMS:
            found = len(self.unique_vectors.get(gemm, ()))
            if found != layers:
                raise TraceError(f"unique_vectors.{gemm}: {found} layers, expected {layers}")
        if unknown := sorted(set(self.unique_vectors) - set(GEMMS)):
            raise TraceError(f"unique_vectors has unknown GEMM '{unknown[0]}', expected {', '.join(GEMMS)}")
        schedule = Schedule(self.selected_layers, self.alpha_list)
        tokens = tokens_per_gemm(schedule, layers, self.visual_tokens)
        unique = np.array([self.unique_vectors[gemm] for gemm in GEMMS], dtype=np.int64).T
        vectors = tokens * slices
        if np.any(unique > vectors):
            layer, gemm_place = (int(place[0]) for place in np.nonzero(unique > vectors))
            raise TraceError(
                f"unique_vectors.{GEMMS[gemm_place]}[{layer}] is {unique[layer, gemm_place]}, "
                f"expected at most {vectors[layer, gemm_place]} vectors that are alive"
            )
        return GemmTotals(
            tokens=tokens,
            vectors=vectors,
            unique=unique,
            slices=np.broadcast_to(slices, tokens.shape),
            visual_tokens=self.visual_tokens,
        )

    def expand(self) -> TileCounts:
        """Return the tile counts; the same recipe gives the same counts.

        Tokens are dealt to the tiles of a (layer, GEMM) as evenly as integers allow, the layout of the
        published tile-length analysis (Focus, HPCA 2026, Fig. 13), which interleaves tokens.
        """
        totals = self.totals()
        tokens, slices = totals.tokens.ravel(), totals.slices.ravel()
        limit = self.m_tile or self.visual_tokens
        tiles = -(-tokens // limit)
        entries = tiles * slices
        group = np.repeat(np.arange(len(entries)), entries)
        place = np.arange(len(group)) - np.repeat(np.cumsum(entries) - entries, entries)
        tile, slot = np.divmod(place, slices[group])
        rows = tokens[group] // tiles[group] + (tile < (tokens % tiles)[group])
        unique = _scatter(totals.unique.ravel(), group, place, rows, self.tile_spread)
        return TileCounts(
            layer=(group // len(GEMMS)).astype(np.int16),
            gemm=(group % len(GEMMS)).astype(np.int8),
            m_tile=tile.astype(np.int32),
            k_slice=slot.astype(np.int32),
            rows=rows.astype(np.int32),
            vectors=rows.astype(np.int32),
            unique=unique.astype(np.int32),
        )


def _scatter(
    unique: NDArray[np.int64],
    group: NDArray[np.int64],
    place: NDArray[np.int64],
    rows: NDArray[np.int64],
    spread: TileSpread,
) -> NDArray[np.int64]:
    """Deal the unique vectors of each group to its entries: the sum is exact, no entry exceeds its rows.

    Args:
        unique: L of each group, axis (groups,).
        group: Group of each entry, axis (entries,), ascending.
        place: Position of the entry inside its group.
        rows: Upper bound of each entry.
        spread: Shape of the distribution.
    """
    groups = len(unique)

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(group, values, groups).astype(np.float64)

    share = unique / summed(rows)
    quantile = np.mod((place + 1) * _GOLDEN_FRACTION, 1.0)
    limit = (spread.quiet_fraction * (1 - share))[group]
    is_quiet = quantile < limit
    # Spread the two parts of the quantile over (0, 1) each.
    within = np.where(is_quiet, quantile / np.maximum(limit, _TINY), (quantile - limit) / (1 - limit))
    quiet = np.where(is_quiet, rows * _QUIET_FROM * (_QUIET_TO / _QUIET_FROM) ** within, 0.0)
    room = np.where(is_quiet, 0, rows)
    left, available = unique - summed(quiet), summed(room)

    centre_share = np.clip(left / available, _TINY, 1)
    top = np.maximum(spread.largest_share, centre_share)
    with np.errstate(divide="ignore"):
        # A group in which every vector is unique has an infinite logit and therefore no spread.
        centre = np.log(centre_share) - np.log(top - centre_share)
        offset = np.log(within) - np.log1p(-within)
    offset *= np.where(offset < 0, spread.below, spread.above)
    wanted = room * top[group] / (1 + np.exp(-(centre[group] + offset)))
    # Move the entries of a group towards 0 or towards their rows, in proportion, until the sum is right.
    reached = summed(wanted)
    shrink = np.where(reached > left, left / np.maximum(reached, _TINY), 1.0)
    grow = np.where(reached < left, (available - left) / np.maximum(available - reached, _TINY), 1.0)
    wanted *= shrink[group]
    wanted = quiet + room - (room - wanted) * grow[group]
    # Rounding a running sum keeps every entry within one of its real value and the total of a group exact.
    running = np.cumsum(np.clip(wanted, 0, rows))
    last = np.flatnonzero(np.r_[group[1:] != group[:-1], True])
    exact = np.cumsum(unique)
    rounded = np.floor(running + (exact - running[last])[group] + 1e-6).astype(np.int64)
    rounded[last] = exact
    dealt: NDArray[np.int64] = np.minimum(np.diff(rounded, prepend=0), rows)
    return dealt


class CalibratedTrace(Trace):
    """A trace whose tiles are made when somebody asks for them.

    Args:
        recipe: The solved stand-in.
    """

    def __init__(self, recipe: Recipe) -> None:
        object.__setattr__(self, "recipe", recipe)
        object.__setattr__(self, "header", recipe.header())

    recipe: Recipe

    @cached_property
    def samples(self) -> tuple[TileCounts, ...]:
        """The expanded tile counts of the only sample."""
        return (self.recipe.expand(),)

    def totals(self, sample: int) -> GemmTotals:
        """Return the sums of the only sample straight from the recipe."""
        if sample != 0:
            raise TraceError(f"sample {sample}: a calibrated trace has one sample, 0")
        return self.recipe.totals()


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        TraceError: No such file, not JSON, or a field is wrong.
    """
    try:
        tree: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TraceError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise TraceError(f"{path}: not a JSON recipe ({error})") from error
    try:
        recipe = validated(Recipe, tree, str(path))
        recipe.totals()
    except ConfigError as error:
        raise TraceError(str(error)) from error
    except TraceError as error:
        raise TraceError(f"{path}: {error}") from error
    return recipe


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe: one field a line, so that a difference between two solutions can be read."""
    tree = recipe.model_dump(mode="json")
    lines = []
    for name, value in tree.items():
        if isinstance(value, dict) and value and all(isinstance(part, list) for part in value.values()):
            inner = ",\n".join(f"    {json.dumps(key)}: {json.dumps(part)}" for key, part in value.items())
            lines.append(f"  {json.dumps(name)}: {{\n{inner}\n  }}")
        else:
            lines.append(f"  {json.dumps(name)}: {json.dumps(value)}")
    atomic_write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
