"""What a configuration does not tell: how long one prompt is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PromptLengths"]


@dataclass(frozen=True, kw_only=True)
class PromptLengths:
    """What the configuration does not tell: the prompt.

    Attributes:
        frames: Frames of the video; for an image its crops, the base picture included.
        is_video: Whether the family's pooling for videos applies.
        visual_tokens: S; None to derive it, which is possible for videos and for one whole picture.
        text_tokens_before: Text tokens before the visual ones.
        text_tokens_after: Text tokens after them.
        patch_rows: Patches down a picture; None for the square the tower was trained on.
        patch_columns: Patches across it.
    """

    frames: int = 1
    is_video: bool = True
    visual_tokens: int | None = None
    text_tokens_before: int = 0
    text_tokens_after: int = 0
    patch_rows: int | None = None
    patch_columns: int | None = None
