"""The files that docs/adding_an_accelerator.md prints, as a reader saves them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from focal_simulator.accelerators import ACCELERATORS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "adding_an_accelerator.md").read_text(encoding="utf-8")


WITHOUT_PYTHON, WITH_PYTHON = TEXT.split("## With Python")


def blocks(kind: str, part: str = WITH_PYTHON) -> list[str]:
    """What a part of the page prints as ``kind``, in order."""
    return re.findall(rf"```{kind}\n(.*?)```", part, re.DOTALL)


def save(folder: Path, hardware: str | None = None) -> None:
    """Write the accelerator of the page into a folder of its own."""
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "accelerator.py").write_text(blocks("python")[0], encoding="utf-8")
    (folder / "hardware.yaml").write_text(hardware or blocks("yaml")[0], encoding="utf-8")


def register(folder: Path, monkeypatch: pytest.MonkeyPatch, hardware: str | None = None) -> str:
    """Save the page's accelerator, make it known in this process, and return its name."""
    package = f"saved_{folder.name}".replace("-", "_")
    save(folder / package, hardware)
    monkeypatch.syspath_prepend(str(folder))
    for module in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(ACCELERATORS._table, "small_array", f"{package}.accelerator:SmallArray")
    return "small_array"
