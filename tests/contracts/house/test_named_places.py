"""Does every file, folder, module and link exist that a page for people names?"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
ROOTS = {
    "focal": "focal",
    "focal_common": "common/focal_common",
    "focal_traces": "traces/focal_traces",
    "focal_algorithm": "algorithm/focal_algorithm",
    "focal_simulator": "simulator/focal_simulator",
    "focal_evaluation": "evaluation_scripts/focal_evaluation",
}
PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix()
    for path in (
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        *(REPOSITORY / "docs").glob("*.md"),
        *(REPOSITORY / "docs" / "reference").glob("*.md"),
        *(REPOSITORY / "docs" / "studies").glob("*.md"),
        *REPOSITORY.glob("*/*/README.md"),
    )
)
"""Design notes and the CHANGELOG tell of places that are gone; they may."""

MADE_BY_THE_READER = {
    "docs/adding_a_method.md": ("normprune",),
    "docs/adding_an_accelerator.md": ("small_array",),
    "docs/exhibits.md": ("exhibits/edp.py",),
    "docs/models.md": ("NAME",),
    "docs/training.md": ("NAME",),
}
"""What a page has the reader write, or where NAME stands for several."""

MADE_BY_THE_SITE = REPOSITORY / "docs" / "reference" / "commands.md"

SIBLINGS = re.compile(r"`(focal_[\w.]+)`((?:, `\.\w+`)+)")
"""A module, and others beside it without the names of the rooms."""

OLD_COLUMN = re.compile(r"^\| `[^|]*\|")
"""In docs/moving_from_0_1.md the first column holds names of 0.1."""

LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)")
PLACE = re.compile(
    r"(?<![\w/.<{$-])((?:algorithm|simulator|traces|common|evaluation_scripts|docs|tests|benchmarks|focal|scripts|"
    r"requirements)/[\w./-]*\w)"
)
MODULE = re.compile(r"\b((?:focal_(?:common|traces|algorithm|simulator|evaluation))(?:\.[A-Za-z_]\w*)+)")


@cache
def tracked() -> frozenset[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    files = listed.stdout.split()
    return frozenset(files) | {parent.as_posix() for file in files for parent in Path(file).parents}


def is_module(name: str) -> bool:
    """Return whether a dotted name is a module of ours, or is said in the last module that its parts lead to."""
    first, *parts = name.split(".")
    place = REPOSITORY / ROOTS[first]
    for part in parts:
        if (place / part).is_dir():
            place /= part
            continue
        file = place / f"{part}.py"
        return file.is_file() or bool(re.search(rf"\b{part}\b", (place / "__init__.py").read_text("utf-8")))
    return True


def headings(page: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in found}


def missing(page: str, text: str) -> Iterator[str]:
    """Yield what a page names and the repository lacks."""
    folder = (REPOSITORY / page).parent
    own = MADE_BY_THE_READER.get(page, ())
    for number, line in enumerate(text.splitlines(), 1):
        here = f"{page}:{number}: "
        for target, anchor in LINK.findall(line):
            place = folder / target if target else REPOSITORY / page
            if place == MADE_BY_THE_SITE:
                continue
            if not place.exists():
                yield here + target
            elif anchor and place.suffix == ".md" and anchor not in headings(place):
                yield f"{here}{target}#{anchor}"
        said = OLD_COLUMN.sub("", line) if page == "docs/moving_from_0_1.md" else line
        places = [one for one in PLACE.findall(said) if one.rstrip("/") not in tracked()]
        names = MODULE.findall(said) + [
            module.rpartition(".")[0] + sibling
            for module, others in SIBLINGS.findall(said)
            for sibling in re.findall(r"`(\.\w+)`", others)
        ]
        modules = [one for one in names if not is_module(one)]
        yield from (here + one for one in (*places, *modules) if not any(word in one for word in own))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(page: str) -> None:
    assert list(missing(page, (REPOSITORY / page).read_text("utf-8"))) == []


def test_what_is_not_there_would_be_found() -> None:
    page = "`simulator/focal_simulator/shapes/x.yaml`, `focal_simulator.gpu`, `.run`, [a](b.md), [c](python.md#no)"
    assert [line.partition(": ")[2] for line in missing("docs/whole_model.md", page)] == [
        "b.md",
        "python.md#no",
        "simulator/focal_simulator/shapes/x.yaml",
        "focal_simulator.run",
    ]
