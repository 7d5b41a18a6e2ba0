"""What tests of the published trace root share."""

from __future__ import annotations

from pathlib import Path

from focal_traces.synthetic.calibrated import RECIPE_SUFFIX

REPOSITORY = Path(__file__).resolve().parent.parent
ROOT = REPOSITORY / "example_output" / "published"
RECIPES = sorted(ROOT.glob(f"*/*{RECIPE_SUFFIX}"))


def recipe_id(path: Path) -> str:
    """Name a recipe in test reports."""
    return f"{path.parent.name}-{path.name.removesuffix(RECIPE_SUFFIX)}"
