"""How many dominant and contextual tokens a picture gets that has not as many tokens as VisionZip was published for.

VisionZip, CVPR 2025 (arXiv:2412.04467): counts for LLaVA-1.5.
"""

from __future__ import annotations

__all__ = ["PUBLISHED_TOKENS", "scaled_budget"]

PUBLISHED_TOKENS = 576  # patches of CLIP ViT-L/14 at 336 pixels, the tower of LLaVA-1.5


def scaled_budget(dominant: int, contextual: int, tokens: int, prefix: int) -> tuple[int, int]:
    """Return dominant and contextual tokens that are the same share of a picture as they are of 576.

    Args:
        dominant: For 576 tokens, at least 1, those of ``prefix`` included.
        contextual: For 576 tokens.
        tokens: Of the picture.
        prefix: CLS tokens, which are kept whatever the size.

    Returns:
        Both rounded to the nearest, half to even; at least one dominant token beside ``prefix``.
    """
    share = tokens / PUBLISHED_TOKENS
    kept = max(1, round((dominant - prefix) * share))
    return prefix + kept, round(contextual * share)
