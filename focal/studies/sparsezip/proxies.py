"""What can be said about a selection without running the decoder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch

from focal.studies.sparsezip.bench import Bench
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.evaluate import selection
from focal.studies.sparsezip.features import PictureFeatures
from focal_algorithm.kernels.visionzip import select_dominant
from focal_algorithm.prompts.pictures import CompressedPicture

__all__ = ["Proxies", "proxies_of", "proxy_row"]


@dataclass(frozen=True)
class Proxies:
    """Of one selection, or their means over pictures.

    Attributes:
        coverage: Share of the CLS attention that goes to the kept tokens.
        error: Squared distance of each token that was not kept to the merged one that stands for it, over the
            squared norm of the token; 1 where nothing stands for it.
        overlap: Share of the kept tokens that VisionZip would keep at the same K.
        lost: Share of the tokens that are neither kept nor merged.
    """

    coverage: float
    error: float
    overlap: float
    lost: float


def proxies_of(one: PictureFeatures, answer: CompressedPicture) -> Proxies:
    """Judge the selection of one picture."""
    received = one.attention.sum(0)
    tokens = one.features[1:]
    own = torch.zeros(len(tokens), dtype=torch.bool)
    own[answer.kept] = True
    theirs = select_dominant(received, len(answer.kept))
    rest = (~own).nonzero().flatten()
    groups = answer.assignment[rest]
    stands = torch.zeros_like(tokens[rest])
    is_merged = groups >= 0
    if bool(is_merged.any()):
        stands[is_merged] = answer.merged[groups[is_merged]].to(stands.dtype)
    scale = (tokens[rest] ** 2).sum().clamp(min=1e-12)
    error = float(((tokens[rest] - stands) ** 2).sum() / scale) if len(rest) else 0.0
    return Proxies(
        coverage=float(received[own].sum() / received.sum()),
        error=error,
        overlap=float(own[theirs].float().mean()) if len(theirs) else 1.0,
        lost=float((~is_merged).sum()) / len(tokens),
    )


def proxy_row(bench: Bench, configuration: Configuration) -> dict[str, float]:
    """Return the means over all pictures of a configuration that acts before the decoder."""
    found = []
    for one in bench.features:
        answer = selection(bench, configuration, one)
        if answer is not None:
            found.append(proxies_of(one, answer))
    return {name: math.fsum(asdict(one)[name] for one in found) / len(found) for name in asdict(found[0])}
