"""Methods of the study alone: forms of the published ones that tell apart what their numbers mix.

They run through the hooks like every method; the registry does not know them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor

from focal.studies.sparsezip.adaptive import AdaptiveK
from focal_algorithm.kernels.hybrid_scores import projected_text_score
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    HostNeeds,
    Resequenced,
    TokenStream,
)
from focal_algorithm.methods.sparsevlm import SparseVlm, SparseVlmState
from focal_algorithm.methods.sparsezip import SparseZip, SparseZipState
from focal_algorithm.methods.visionzip import VisionZip
from focal_algorithm.methods.zip_parts import ZipParts
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture
from focal_common.errors import ConfigError
from focal_traces.header.schema import DecoderGeometry


@dataclass(frozen=True, kw_only=True)
class TowerLook(CompressionMethod):
    """Changes nothing and collects what methods are shown of each picture.

    Args:
        seen: Filled in the order of the prefills.
    """

    seen: list[TowerPicture]

    @property
    def needs(self) -> HostNeeds:
        """Nothing is dropped."""
        return HostNeeds(only_looks=True)

    def compress_picture(self, picture: TowerPicture, state: Any) -> None:
        """Note the picture."""
        self.seen.append(picture)


@dataclass
class _Chosen:
    """What was decided about the picture of a prompt, to be carried out at the input of the first layer."""

    number: int = 0
    picture: TowerPicture | None = None
    answer: CompressedPicture | None = None


@dataclass(frozen=True, kw_only=True)
class WithoutPrefix(ZipParts):
    """`ZipParts` that keeps tokens only: no CLS token joins them, and none is merged.

    Random scores differ from picture to picture, by the number that ends the name of the prompt.
    """

    def start(  # type: ignore[override]
        self, geometry: DecoderGeometry, layout: SampleLayout
    ) -> _Chosen:
        """Return a fresh state."""
        super().start(geometry, layout)
        return _Chosen(number=int(layout.sample_id.rsplit(" ", 1)[-1]))

    def compress_picture(self, picture: TowerPicture, state: _Chosen) -> None:
        """Choose tokens; `before_layer` keeps them, since the host would feed CLS as well."""
        state.answer = super().compress_picture(replace(picture, index=state.number), None)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: _Chosen
    ) -> Resequenced | None:
        """Keep what was chosen."""
        if layer or state.answer is None:
            return None
        return Resequenced(stream.keeping(state.answer.kept), renumbers=not self.keeps_positions)


@dataclass(frozen=True, kw_only=True)
class TextInPlace(VisionZip):
    """`VisionZip` that counts its tokens without gaps and leaves the text where it stands after a whole picture.

    Args:
        projector: Of the model, from tower features to input embeddings.
    """

    projector: Any = field(compare=False)

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> _Chosen:  # type: ignore[override]
        """Return a fresh state."""
        super().start(geometry, layout)
        return _Chosen()

    def compress_picture(self, picture: TowerPicture, state: _Chosen) -> None:
        """Choose and merge tokens; `before_layer` lays them out."""
        state.picture, state.answer = picture, super().compress_picture(picture, None)

    def before_layer(
        self, layer: int, hidden: Tensor, stream: TokenStream, state: _Chosen
    ) -> Resequenced | None:
        """Put CLS, kept and merged tokens in the first places of the picture."""
        picture, answer = state.picture, state.answer
        if layer or picture is None or answer is None:
            return None
        prefix = self.projector(picture.prefix)
        tokens = torch.cat((prefix, picture.embeddings[answer.kept], self.projector(answer.merged)))
        first, last = int(stream.visual_rows[0]), int(stream.visual_rows[-1])
        # A token has the position of the row that it takes, so these rows renumber the picture and not the text.
        rows = torch.arange(len(hidden), device=hidden.device)
        rows = torch.cat((rows[: first + len(tokens)], rows[last + 1 :]))
        laid_out = hidden[rows]
        laid_out[first : first + len(tokens)] = tokens
        return Resequenced(rows, laid_out)


@dataclass(frozen=True, kw_only=True)
class AdaptiveSparseZip(SparseZip):
    """`SparseZip` whose fixed K follows the attention of each picture.

    Args:
        rule: Gives K, which replaces ``dominant``.
    """

    rule: AdaptiveK

    def compress_picture(self, picture: TowerPicture, state: SparseZipState) -> CompressedPicture | None:
        """Keep as many dominant tokens as the rule says and merge the rest."""
        own = replace(self, dominant=self.rule.k(picture.attention[0]))
        return SparseZip.compress_picture(own, picture, state)


@dataclass
class _RankedState(SparseVlmState):
    ranks: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class CutInside(SparseVlm):
    """SparseVLM (ICML 2025, arXiv:2410.04417, sec. 3.2 and 3.3) without recycling; tokens keep their positions.

    Args:
        scorer: ``raters`` lets the text rate as SparseVLM does; ``tower`` (the CLS attention) and ``projected_text``
            rank the tokens once, by the scores of the methods before the decoder.
    """

    mode: Literal["compatible", "strict"] = "strict"
    scorer: str = "raters"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scorer not in ("raters", "tower", "projected_text"):
            raise ConfigError(
                f"inside the decoder, got '{self.scorer}'; expected tower, raters or projected_text"
            )

    def start(self, geometry: DecoderGeometry, layout: SampleLayout) -> _RankedState:
        """Return a fresh state."""
        super().start(geometry, layout)
        return _RankedState()

    def compress_picture(self, picture: TowerPicture, state: _RankedState) -> None:
        """Rank the tokens where the text does not rate them."""
        if self.scorer == "tower":
            state.ranks = picture.attention[0].sum(0)
        elif self.scorer == "projected_text":
            state.ranks = projected_text_score(picture.attention[0], picture.embeddings, picture.text)

    def see_attention(
        self, layer: int, operands: AttentionOperands, stream: TokenStream, state: SparseVlmState
    ) -> None:
        """Rate the visual tokens that are still present."""
        ranks = state.ranks if isinstance(state, _RankedState) else None
        if ranks is None:
            super().see_attention(layer, operands, stream, state)
        elif layer in self.pruning_layers:
            state.relevance = ranks[stream.visual_positions]

    def _shortened(
        self, hidden: Tensor, stream: TokenStream, relevance: Tensor, is_kept: Tensor
    ) -> Resequenced:
        return Resequenced(stream.keeping(is_kept.nonzero().flatten()))
