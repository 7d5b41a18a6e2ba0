"""Names that the layout of the published artifact (Focus, HPCA 2026) fixes for every trace root."""

from __future__ import annotations

PUBLISHED_METHOD = "focus"
"""Method of the published masks, which do not say it, and of traces that stand in for them."""

MAIN_FOLDER = "focus_main"
"""Folder of the main traces of a root, whichever method left them."""
