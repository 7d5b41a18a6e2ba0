"""LLaVA-PruMerge+: PruMerge with tokens sampled at even distances beside the outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from focal_algorithm.kernels.ordering import top_indices
from focal_algorithm.methods.prumerge import PruMerge


@dataclass(frozen=True, kw_only=True)
class PruMergePlus(PruMerge):
    """Outliers and tokens at even distances, each enriched, and one token for all the rest; parameters as `PruMerge`.

    Paper: LLaVA-PruMerge, Shang et al., ICCV 2025, arXiv:2403.15388, PruMerge+; without training.
    Deviations: as `PruMerge`. ``compatible`` never samples the last token and, in the fixed form, may take a token
        twice, both as the released code; ``strict`` samples to the last token and takes each token once. Where that
        code fails, at least one outlier and a distance of at least 1 are taken.
        With ``keep_tokens``, half are outliers and the others lie at even distances among the rest; that form is ours.
    """

    name: ClassVar[str] = "prumerge_plus"

    def chosen(self, scores: Tensor, keep_tokens: int) -> Tensor:
        """Return outliers by falling score, then sampled tokens in raster order, int64."""
        tokens, device = len(scores), scores.device
        if keep_tokens:
            first = top_indices(scores, keep_tokens // 2)
            others = _without(torch.arange(tokens, device=device), first)
            count = keep_tokens - 1 - len(first)
            places = (torch.arange(count, device=device) * 2 + 1) * len(others) // (2 * max(count, 1))
            return torch.cat((first, others[places]))
        is_strict = self.mode == "strict"
        count, share = self.outliers(scores)
        if not count:
            count, share = 1, 1 / tokens
        step = int(1 / share)
        start, stride = (0, max(1, int(step / 3))) if self.is_adaptive else (int(step / 2), step)
        first = top_indices(scores, count)
        sampled = torch.arange(start, max(start, tokens if is_strict else tokens - 1), stride, device=device)
        return torch.cat((first, _without(sampled, first) if is_strict or self.is_adaptive else sampled))


def _without(tokens: Tensor, taken: Tensor) -> Tensor:
    return tokens[~torch.isin(tokens, taken)]
