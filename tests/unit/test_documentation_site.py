"""Does the documentation name everything that is public? (scripts/build_docs.sh, in CI, looks for dead links.)"""

from __future__ import annotations

import re
from pathlib import Path

import focal
from focal_algorithm.methods import METHODS

_DOCS = Path(__file__).parents[2] / "docs"


def test_the_python_page_holds_every_public_name() -> None:
    page = (_DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    shown = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)$", page, re.MULTILINE)}
    shown |= {name.strip() for name in re.search(r"members: \[(.*)\]", page).group(1).split(",")}  # type: ignore[union-attr]
    classes = {METHODS.target(name).rpartition(":")[2] for name in METHODS}
    public = {name for name in focal.__all__ if not name.startswith("_") and name not in classes}
    assert public - shown == set()
