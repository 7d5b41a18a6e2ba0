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
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, TraceError
from focal_common.files import atomic_write_text
from focal_common.places import PlainName, PlainPath
from focal_common.reading.json_files import read_json
from focal_traces.counts.trace import GemmTotals, TileCounts, Trace
from focal_traces.header.published import PUBLISHED_METHOD
from focal_traces.header.schema import (
    GEMMS,
    MOST_TOKENS,
    QWEN2_7B,
    SampleHeader,
    TokenGrid,
    Tokens,
    TraceHeader,
    slices_per_token,
)
from focal_traces.model_shape.geometry import Width
from focal_traces.synthetic.schedule import Schedule, tokens_per_gemm
from focal_traces.synthetic.tile_spread import TileSpread, scatter

RECIPE_SUFFIX = ".calibrated.json"


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
    model: PlainName
    dataset: PlainName
    variant: PlainPath
    target: str
    visual_tokens: Tokens
    frames: Tokens
    patches_per_frame: Tokens
    selected_layers: tuple[NonNegativeInt, ...]
    alpha_list: tuple[PositiveFloat, ...]
    similarity_threshold: float
    m_tile: Annotated[NonNegativeInt, Field(le=MOST_TOKENS)]
    vector_size: Width
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
            method=PUBLISHED_METHOD,
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
        unique = scatter(totals.unique.ravel(), group, place, rows, self.tile_spread)
        return TileCounts(
            layer=(group // len(GEMMS)).astype(np.int16),
            gemm=(group % len(GEMMS)).astype(np.int8),
            m_tile=tile.astype(np.int32),
            k_slice=slot.astype(np.int32),
            rows=rows.astype(np.int32),
            vectors=rows.astype(np.int32),
            unique=unique.astype(np.int32),
        )


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
    tree = read_json(path, TraceError)
    try:
        recipe = validated(Recipe, tree, str(path))
    except ConfigError as error:
        raise TraceError(str(error)) from error
    try:
        recipe.totals()
    except (ConfigError, TraceError) as error:
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
