"""What can be said about a selection without running the decoder."""

from __future__ import annotations

import pandas as pd
import torch

from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.evaluate import selection
from focal.studies.sparsezip.model import ModelUnderStudy
from focal_algorithm.kernels.visionzip import select_dominant
from focal_algorithm.prompts.pictures import CompressedPicture, TowerPicture


def proxies_of(picture: TowerPicture, answer: CompressedPicture) -> dict[str, float]:
    """Judge the selection of one picture.

    Returns:
        ``coverage``: share of the CLS attention that goes to the kept tokens. ``error``: squared distance of each
        token that was not kept to the merged one that stands for it, over the squared norm of the token; 1 where
        nothing stands for it. ``overlap``: share of the kept tokens that VisionZip would keep at the same K.
        ``lost``: share of the tokens that are neither kept nor merged.
    """
    received, tokens = picture.attention[0].sum(0), picture.features
    is_kept = torch.zeros(len(tokens), dtype=torch.bool)
    is_kept[answer.kept] = True
    theirs = select_dominant(received, len(answer.kept))
    rest, groups = tokens[~is_kept], answer.assignment[~is_kept]
    is_merged = groups >= 0
    representatives = torch.zeros_like(rest)
    representatives[is_merged] = answer.merged[groups[is_merged]].to(rest.dtype)
    scale = (rest**2).sum().clamp(min=1e-12)
    return {
        "coverage": float(received[is_kept].sum() / received.sum()),
        "error": float(((rest - representatives) ** 2).sum() / scale),
        "overlap": float(is_kept[theirs].float().mean()) if len(theirs) else 1.0,
        "lost": float((~is_merged).sum()) / len(tokens),
    }


def proxy_row(study: ModelUnderStudy, configuration: Configuration) -> dict[str, float]:
    """Return the means over all pictures of a configuration that acts before the decoder."""
    answers = [(picture, selection(study, configuration, picture)) for picture in study.features]
    rows = [proxies_of(picture, answer) for picture, answer in answers if answer is not None]
    return {str(name): float(mean) for name, mean in pd.DataFrame(rows).mean().items()}
