"""What a compression method is: frozen parameters, a state per prompt, and operations on plain tensors.

A method never sees a Hugging Face object, a batch axis or padding: `focal_algorithm.hooks` hands it the
tokens of one prompt at a time and carries its decisions out. What studies ask of a method stands in
`focal_algorithm.methods.study`.
"""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args, get_origin

import torch
from torch import Tensor

from focal_algorithm.methods.study import MethodStudy
from focal_algorithm.prompts.layout import SampleLayout, is_pyramid, starts_of_frames
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry


class HookPoint(Enum):
    """Places in a model where a method may act, with the operation of `CompressionMethod` called there."""

    VISION_OUTPUT = "compress_picture"
    LAYER_INPUT = "before_layer"
    GEMM_INPUT = "transform"
    ATTENTION_OPERANDS = "see_attention"
    ATTENTION_PROBABILITIES = "replace_probabilities"
    AFTER_ATTENTION = "after_attention"
    DECODE_KEYS = "choose_keys"


@dataclass(frozen=True)
class TokenStream:
    """Which tokens of a prompt are present at one point of the decoder.

    Attributes:
        layout: Layout of the whole prompt.
        token_ids: Index of each present token in the whole prompt, axes (tokens), int64. Ids from
            ``layout.sequence_tokens`` on are tokens generated without a cache.
        visual_rows: Rows of ``token_ids`` inside the visual range, axes (visual tokens present), int64.
        visual_positions: Their places in the visual range, 0 to S - 1, same axes; ascending unless a method
            put merged tokens behind the kept ones.
        query_rows: Rows of the prompt's tokens after the visual range, or after all pictures where the prompt has
            several, axes (T), int64.
        ahead: In `CompressionMethod.before_layer` alone: returns what the attention of that layer would be given with
            the tokens present. A call costs the layer's norm and projections.
        final_norm: Likewise: the decoder's norm behind its last layer, axes as given, (tokens, hidden).
    """

    layout: SampleLayout
    token_ids: Tensor
    visual_rows: Tensor
    visual_positions: Tensor
    query_rows: Tensor
    ahead: Callable[[], AttentionOperands] | None = None
    final_norm: Callable[[Tensor], Tensor] | None = None

    @property
    def rows_of_prompt(self) -> int:
        """Tokens of the prompt present: generated ones, where they are computed again without a cache, come after."""
        return int((self.token_ids < self.layout.sequence_tokens).sum())

    def keeping(self, chosen: Tensor) -> Tensor:
        """Return the rows of all text and of some visual tokens, ascending: what `Resequenced.rows` takes.

        Args:
            chosen: Visual tokens to keep, counted among those present, axes (kept), int64, in any order.
        """
        is_kept = torch.ones_like(self.token_ids, dtype=torch.bool)
        is_kept[self.visual_rows] = False
        is_kept[self.visual_rows[chosen]] = True
        return is_kept.nonzero().flatten()

    def parts(self, scope: Literal["picture", "prompt"]) -> list[Tensor]:
        """Return which visual tokens share a budget, counted among those present, each axes (tokens), int64.

        Args:
            scope: ``prompt`` for all of them together; ``picture`` for one part per frame of a video, or one in all
                for an image. Separators belong to the frame before them.
        """
        grid = self.layout.grid
        if scope == "prompt" or grid is None or grid.frames < 2 or is_pyramid(grid):
            return [torch.arange(len(self.visual_rows), device=self.token_ids.device)]
        starts = starts_of_frames(self.layout).to(self.visual_positions.device)
        frame = (torch.searchsorted(starts, self.visual_positions, right=True) - 1).clamp(min=0)
        parts = [(frame == number).nonzero().flatten() for number in range(grid.frames)]
        return [part for part in parts if len(part)]

    @cached_property
    def ranked(self) -> tuple[int, int]:
        """Row of the first visual token, and the row behind the last of the text after the pictures."""
        first, last = torch.stack((self.visual_rows[0], self.query_rows[-1])).tolist()
        return first, last + 1

    @classmethod
    def whole(cls, layout: SampleLayout, token_ids: Tensor) -> TokenStream:
        """Build the stream of a prompt of which no token was dropped yet; ``token_ids`` count from 0."""
        rows = torch.arange(len(token_ids), device=token_ids.device)
        visual_rows = rows[layout.visual_start : layout.visual_stop]
        query_rows = rows[layout.sequence_tokens - layout.query_tokens : layout.sequence_tokens]
        return cls(layout, token_ids, visual_rows, visual_rows - layout.visual_start, query_rows)

    @classmethod
    def of(cls, layout: SampleLayout, token_ids: Tensor) -> TokenStream:
        """Build the stream of the tokens ``token_ids``."""
        is_visual = (token_ids >= layout.visual_start) & (token_ids < layout.visual_stop)
        query_start = layout.sequence_tokens - layout.query_tokens
        is_query = (token_ids >= query_start) & (token_ids < layout.sequence_tokens)
        visual_rows = is_visual.nonzero().flatten()
        return cls(
            layout=layout,
            token_ids=token_ids,
            visual_rows=visual_rows,
            visual_positions=token_ids[visual_rows] - layout.visual_start,
            query_rows=is_query.nonzero().flatten(),
        )


@dataclass(frozen=True)
class VectorMasks:
    """What a method did to the vectors of one GEMM input.

    Attributes:
        is_zero: Vectors that are all zero, pruned tokens included, axes (S, slices), bool.
        is_similar: Vectors replaced by a representative, same axes, disjoint from ``is_zero``; None for none.
        winner: Winning candidate of each similar vector, same axes, uint8; see `MethodStudy.pointer_rule`. None where
            no vector is similar, or ``token`` is given.
        token: Visual token that stands for each vector, same axes, int64, for methods whose representatives
            are not at fixed distances; ``winner`` is then unused.
    """

    is_zero: Tensor
    is_similar: Tensor | None = None
    winner: Tensor | None = None
    token: Tensor | None = None


@dataclass(frozen=True)
class GemmOutcome:
    """Result of `CompressionMethod.transform`.

    Attributes:
        values: New GEMM input, axes (tokens, width).
        masks: None where nothing was replaced; the recorder then looks for zero vectors itself.
    """

    values: Tensor
    masks: VectorMasks | None = None


@dataclass(frozen=True)
class Resequenced:
    """A shorter (or reordered) token sequence.

    Attributes:
        rows: Source row of each remaining token, axes (tokens), int64. Position, mask and cache place of a
            token follow its source row.
        hidden: New residual stream, axes (tokens, hidden); None to take the source rows unchanged.
        merged_into: Source row that stands for each source row, -1 where nothing does, axes (source tokens),
            int64; None if every row that does not remain was dropped. Recorded, not acted upon.
        made_of: For each source row whose place a new token takes, how many tokens that is the sum or mean of, 0
            where it holds none of the prompt's (CLS), -1 elsewhere, axes (source tokens), int64; None for -1
            everywhere. Recorded, not acted upon.
        renumbers: Whether the remaining tokens take the first of the positions present, so that a gapless count
            stays gapless; otherwise each keeps its own. Where positions have several axes (multimodal rotary
            embedding), tokens always keep theirs.
    """

    rows: Tensor
    hidden: Tensor | None = None
    merged_into: Tensor | None = None
    made_of: Tensor | None = None
    renumbers: bool = False


@dataclass(frozen=True)
class AttentionOperands:
    """Operands of the attention of one layer for one prompt, after the position embedding.

    Attributes:
        query: Axes (heads, tokens, head_dim), after `CompressionMethod.transform`.
        key: Axes (kv_heads, tokens, head_dim).
        scaling: Factor of the scores.
        rotary: Cosine and sine of the tokens, each axes (tokens, head_dim); where positions have several axes, they
            come first. None where the decoder hands its layers no tables.
        mask: Whether each token may attend to each, axes (tokens, tokens), bool, in layers that attend within a sliding
            window; None where text attends to all that is before it.
    """

    query: Tensor
    key: Tensor
    scaling: float
    rotary: tuple[Tensor, Tensor] | None = None
    mask: Tensor | None = None

    def mask_of(self, rows: Tensor | slice, end: int) -> Tensor | None:
        """Return what some tokens may attend to among the first ``end``, axes (rows, end), bool; None for causal."""
        return None if self.mask is None else self.mask[rows, :end]


@dataclass
class DecodeNotes:
    """What a method remembers of the tokens after a prompt: notes follow their tokens as keys do in the cache.

    Attributes:
        earlier: Notes of the tokens after the prompt before those of this forward, axes (tokens, width); with zeros
            behind where another prompt of the batch has wider ones. None where there are none.
        new: What the method notes of the tokens of this forward, axes (new tokens, width), of one floating dtype; None
            for nothing.
        choice: The method's own, from layer to layer of this forward.
    """

    earlier: Tensor | None = None
    new: Tensor | None = None
    choice: Any = None


@dataclass(frozen=True)
class HostNeeds:
    """What a method needs from the host beyond what the operations it overrides say.

    Attributes:
        tower_layers: Layers of the vision tower that `compress_picture` is shown, relative to the one the projector
            takes; None for the tower's last alone.
        tower_attention: What `TowerPicture.attention` holds where there is no CLS: attention ``received`` on average,
            or that ``of_mean_query``, of the mean of the picture's queries to the mean key of each token.
        cls_operands: Whether pictures come with the query of the tower's CLS token and the keys over the whole width,
            `TowerPicture.cls_query` and `TowerPicture.cls_keys`, where the tower has one.
        probability_layers: Decoder layers whose attention is computed unfused for `replace_probabilities`.
        only_looks: Whether `before_layer` and its like never drop or merge a token.
    """

    tower_layers: tuple[int, ...] | None = (0,)
    tower_attention: Literal["received", "of_mean_query"] = "received"
    cls_operands: bool = False
    probability_layers: slice = field(default_factory=lambda: slice(None))
    only_looks: bool = False


@dataclass(frozen=True, kw_only=True)
class Recording:
    """In what units a trace counts what a method did.

    Attributes:
        vector_size: Elements per recorded vector.
        m_tile: Tokens per m-tile; 0 for a single tile.
    """

    vector_size: int = 32
    m_tile: int = 1024


@dataclass(frozen=True, kw_only=True)
class CompressionMethod(Recording):
    """Base of all methods: a frozen dataclass whose fields are the hyper-parameters.

    Life: `start` once per prompt at the start of its prefill; then `compress_picture` for each picture; then, layer by
    layer, `before_layer`, `transform`, `see_attention`, `replace_probabilities` and `after_attention`, as far as the
    class overrides them. Of tokens after the prompt a method is shown their attention alone, by `choose_keys`. Default
    operations change nothing, and the host
    registers no hook for them.

    The docstring of a subclass names its paper after ``Paper:`` and what differs from it after ``Deviations:``.

    Attributes:
        name: Registry name; by default the class name in small letters.
        study: Budgets, published parameters and reports; see `MethodStudy`.
    """

    name: ClassVar[str] = "method"
    study: ClassVar[MethodStudy] = MethodStudy()

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if "name" not in vars(cls):
            cls.name = cls.__name__.strip("_").lower()

    def __post_init__(self) -> None:
        """Refuse a word that its field's ``Literal`` does not list; a subclass calls this before its own checks."""
        for parameter in fields(self):
            choices, value = _choices(parameter.type), getattr(self, parameter.name)
            if choices and value not in choices:
                listed = " or ".join((", ".join(choices[:-1]), choices[-1]))
                raise ConfigError(f"{parameter.name} must be {listed}, got '{value}'")

    @property
    def needs(self) -> HostNeeds:
        """What the host must provide beyond the defaults."""
        return HostNeeds()

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> Any:
        """Return the fresh state of one prompt; None where nothing is to be remembered.

        Raises:
            FocalError: The method cannot work on this prompt; the sentence says why.
        """
        return None

    def compress_picture(self, picture: TowerPicture, state: Any) -> CompressedPicture | None:
        """Keep and merge the visual tokens of one picture; None to leave it as it is.

        Called for every picture of a prompt before its first decoder layer.
        """
        return None

    def before_layer(self, layer: int, hidden: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
        """Drop or merge tokens at the input of a layer.

        Args:
            layer: Decoder layer, from 0.
            hidden: Residual stream, axes (tokens, hidden); before layer 0 the input embeddings.
            stream: Tokens present.
            state: State of this prompt.

        Returns:
            None to leave the sequence as it is.
        """
        return None

    def transform(
        self, layer: int, gemm: str, values: Tensor, stream: TokenStream, state: Any
    ) -> GemmOutcome:
        """Replace the input of a GEMM.

        Args:
            layer: Decoder layer.
            gemm: Name in `focal_traces.header.schema.GEMMS`.
            values: Axes (tokens, width); for ``query`` all heads side by side.
            stream: Tokens present.
            state: State of this prompt.
        """
        return GemmOutcome(values)

    def see_attention(self, layer: int, operands: AttentionOperands, stream: TokenStream, state: Any) -> None:
        """Look at the operands of the attention of a layer.

        Args:
            layer: Decoder layer.
            operands: Queries, keys and rotary tables.
            stream: Tokens present.
            state: State of this prompt.
        """

    def replace_probabilities(
        self, layer: int, first_head: int, probabilities: Tensor, stream: TokenStream, state: Any
    ) -> Tensor:
        """Replace the softmax output of some heads of a layer.

        Args:
            layer: Decoder layer, one of `HostNeeds.probability_layers`.
            first_head: Number of the first of the heads given; heads come in order.
            probabilities: Axes (heads, tokens, tokens); may be changed in place.
            stream: Tokens present.
            state: State of this prompt.

        Returns:
            Same axes.
        """
        return probabilities

    def after_attention(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: Any
    ) -> Resequenced | None:
        """Drop or merge tokens between attention and MLP of a layer; arguments as of `before_layer`."""
        return None

    def choose_keys(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, notes: DecodeNotes
    ) -> Tensor | None:
        """Choose what tokens after the prompt attend to in a layer; the cache keeps everything.

        Called in every layer for the tokens of a decode step, and for tokens after the prompt that are computed in one
        forward with it. There is no state of the prompt: copies of a cache go on apart, so what is to be remembered
        stands in ``notes``.

        Args:
            layer: Decoder layer.
            operands: Queries of the new tokens, and keys of all tokens present, the new ones last.
            stream: Tokens present; ids from ``layout.sequence_tokens`` on are those after the prompt.
            notes: Of this prompt.

        Returns:
            Axes (new tokens, tokens), bool, True for keys that may be read; those after a token are closed to it
            anyway. None to read all.
        """
        return None


def check_least(method: CompressionMethod, **bounds: float) -> None:
    """Raise `ConfigError` where a field is below its bound."""
    for name, bound in bounds.items():
        if not getattr(method, name) >= bound:
            raise ConfigError(f"{name} must be at least {bound}, got {getattr(method, name)}")


def check_shares(method: CompressionMethod, *names: str, from_zero: bool = False) -> None:
    """Raise `ConfigError` where a field does not lie in (0, 1], or in [0, 1] where it may be 0."""
    for name in names:
        value = getattr(method, name)
        if not 0 <= value <= 1 or not (value or from_zero):
            raise ConfigError(f"{name} must lie in {'[' if from_zero else '('}0, 1], got {value}")


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words of a ``Literal``, which may be written as text (`__future__.annotations`); none for others."""
    if isinstance(annotation, str):
        listed = re.fullmatch(r"Literal\[(.+)\]", annotation)
        return literal_eval(f"({listed[1]},)") if listed else ()
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def hook_points(method: CompressionMethod | type[CompressionMethod]) -> frozenset[HookPoint]:
    """Return where a method acts: the places whose operation its class overrides."""
    own = method if isinstance(method, type) else type(method)
    return frozenset(
        point
        for point in HookPoint
        if getattr(own, point.value) is not getattr(CompressionMethod, point.value)
    )


def changes_length(method: CompressionMethod) -> bool:
    """Return whether a method may drop or merge tokens."""
    shortening = {HookPoint.VISION_OUTPUT, HookPoint.LAYER_INPUT, HookPoint.AFTER_ATTENTION}
    return bool(hook_points(method) & shortening) and not method.needs.only_looks


def zero_vectors(values: Tensor, stream: TokenStream, vector_size: int) -> Tensor:
    """Return which vectors of the visual range are all zero; absent tokens count as zero.

    Args:
        values: Axes (tokens, width).
        stream: Tokens present.
        vector_size: Elements per vector; the last vector of a token may be shorter.

    Returns:
        Axes (S, slices), bool.
    """
    width = values.shape[-1]
    slices = -(-width // vector_size)
    present = values[stream.visual_rows] != 0
    padded = torch.nn.functional.pad(present, (0, slices * vector_size - width))
    is_zero = torch.ones(stream.layout.visual_tokens, slices, dtype=torch.bool, device=values.device)
    is_zero[stream.visual_positions] = ~padded.view(-1, slices, vector_size).any(dim=-1)
    return is_zero
