"""Is every accelerator plug-in lawful? The contract that outside plug-ins inherit, once for each of ours."""

from pathlib import Path
from typing import ClassVar

import pytest

from focal.testing import AcceleratorContract, ParityContract
from focal_simulator.accelerators import ACCELERATORS
from page_support import register

for name in ACCELERATORS:
    title = f"Test_{name}"
    globals()[title] = type(title, (ParityContract,), {"accelerator": name, "sram": "compiler"})


class TestAnArrayOfAnotherSize(AcceleratorContract):
    accelerator = "dense"
    overrides = ("core.array_rows=16", "core.array_columns=8")


class _Described(AcceleratorContract):
    """A hardware file alone, here without more than its base."""

    base: ClassVar[str]

    @pytest.fixture(autouse=True)
    def written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(f"accelerator: mine\nbase: {self.base}\n", encoding="utf-8")
        monkeypatch.setattr(type(self), "accelerator", str(path), raising=False)


class TestAPlainArray(_Described):
    base = "systolic_array"


class TestAPlainArrayOfKeptTokens(_Described):
    base = "token_array"


class TestADescribedFocus(_Described):
    base = "focus"


class TestTheDocumentedOne(AcceleratorContract):
    @pytest.fixture(autouse=True)
    def registered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(self), "accelerator", register(tmp_path, monkeypatch), raising=False)
