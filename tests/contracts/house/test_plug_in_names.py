"""Does the core know no plug-in by name? Its rooms hold no registry key."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS
from focal_simulator.accelerators import ACCELERATORS

REPOSITORY = Path(__file__).parents[3]
SIMULATOR, TRACES = REPOSITORY / "simulator" / "focal_simulator", REPOSITORY / "traces" / "focal_traces"
ALGORITHM = REPOSITORY / "algorithm" / "focal_algorithm"
FOLDERS = (
    TRACES,
    *(SIMULATOR / room for room in ("engine", "jobs", "workload", "costs", "dram", "kernels", "whole_model")),
    *(ALGORITHM / room for room in ("budgets", "matrix", "prompts", "tasks")),
)

ALLOWED = {
    "methods": "the folder where methods register what they add to traces: a registry, and a file for each method",
    "header/published.py": "names that the layout of the published artifact fixes for every trace root",
    "model_shape/families.py": "words of config.json files: transformers calls families what Focal calls them",
    "model_shape/tower_families.py": "the same, of vision towers",
}
"""Places below traces/focal_traces, and why each may name plug-ins."""

KEYS = {*METHODS, *MODELS, *ACCELERATORS}
ADJECTIVES = {"dense"}
"""Keys that are words of English as well: refused as a whole text, allowed in sentences and in dense_macs."""


def named(source: str) -> Iterator[str]:
    """Yield the keys that code, not prose, holds: names and their parts, imported modules, words of short texts."""
    tree = ast.parse(source)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            words = re.split(r"[^A-Za-z0-9_]+", node.value)
            yield from (key for key in KEYS if key == node.value or (key in words and key not in ADJECTIVES))
            names += [word for word in words if "_" in word]
        for field in ("id", "attr", "arg", "name", "module", "asname"):
            value = getattr(node, field, None)
            names += value.split(".") if isinstance(value, str) else []
        for name in names:
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
            yield from (key for key in KEYS - ADJECTIVES if f"_{key}_" in f"_{snake}_")


def allowed(path: Path) -> bool:
    if not path.is_relative_to(TRACES):
        return False
    place = path.relative_to(TRACES).as_posix()
    return any(place == one or place.startswith(f"{one}/") for one in ALLOWED)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_core_names_no_plug_in(folder: Path) -> None:
    files = [path for path in sorted(folder.rglob("*.py")) if not allowed(path)]
    assert len(files) > 1
    found = {
        f"{path.relative_to(REPOSITORY)}: {key}"
        for path in files
        for key in named(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_every_allowed_place_is_there_and_needed() -> None:
    for place in ALLOWED:
        path = TRACES / place
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert {key for file in files for key in named(file.read_text(encoding="utf-8"))}, place


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ('variant = "focus_main"', {"focus"}),
        ("sparsity = workload.cmc_sparsity", {"cmc"}),
        ("from focal_simulator.accelerators.focus.buffers import focus_buffers", {"focus"}),
        ("class CmcTiles: ...", {"cmc"}),
        ('name = "dense"', {"dense"}),
        ("dense_macs = 1", set()),
        ('"""The published Focus artifact and cmc."""', set()),
    ],
)
def test_what_counts_as_a_name(source: str, keys: set[str]) -> None:
    assert set(named(source)) == keys
