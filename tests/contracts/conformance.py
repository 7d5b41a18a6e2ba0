"""Our methods in our families: with which parameters each acts on a small decoder, and what it refuses."""

from __future__ import annotations

from functools import cache

import pytest

import attach_support as support
from focal.testing.methods import SETTLED, SUBJECTS, fitted, is_first, model_of, prompt_of, refused
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod

__all__ = [
    "FIRST_PAIRS",
    "REFUSALS",
    "SETTLED",
    "SUBJECTS",
    "accepted",
    "method_of",
    "model_of",
    "prompt_of",
    "refusal",
]

REFUSALS = {
    **{
        (method, subject): "learned queries"
        for method in ("visionzip", "sparsezip", "zip_parts", "prumerge", "prumerge_plus")
        for subject in ("minicpm_v+video", "minicpm_v+image")
    },
    **{
        (method, subject): "expected a video of at least two frames"
        for method in ("cmc", "dycoke", "evs", "fastvid", "holitom")
        for subject in SUBJECTS
        if subject.endswith("+image")
    },
    **{
        (method, f"minicpm_v+{kind}"): "learned queries"
        for method in ("fastvid", "holitom")
        for kind in ("video", "image")
    },
    ("dycoke", "minicpm_v+video"): "other tokens lie among those of its frames",
    ("evs", "minicpm_v+video"): "other tokens lie among those of its frames",
    **{
        (method, subject): "other tokens lie between its frames"
        for method in ("cmc", "framefusion")
        for subject in ("qwen3_vl+video", "smolvlm+video", "smolvlm+image")
    },
}
"""Every refusal that is allowed, with words of its reason."""

FIRST_PAIRS = [
    pytest.param(method, subject, marks=() if is_first(subject) else pytest.mark.slow)
    for subject in SUBJECTS
    for method in METHODS
]
"""Every method in every family with a video, or with an image where the family takes no video."""


def method_of(name: str, loaded: LoadedModel) -> CompressionMethod:
    """Return a method with parameters that suit the model."""
    return fitted(name, support.SMALL.get(name, {}), loaded)


@cache
def refusal(name: str, subject: str) -> str:
    """Return why a method refuses a prompt, in a trial prefill; empty if it does not."""
    return refused(method_of(name, model_of(subject)), subject)


def accepted(name: str, subject: str) -> CompressionMethod:
    """Return the method, or skip with its reason where it refuses the family's prompts."""
    if reason := refusal(name, subject):
        pytest.skip(f"refused: {reason}")
    return method_of(name, model_of(subject))
