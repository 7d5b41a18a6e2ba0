"""Is a broken torchvision found before transformers trips over it?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from focal import environment
from focal_common.errors import UnsupportedError


def test_a_torchvision_that_does_not_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator nms does not exist')\n"
    )
    information = tmp_path / "torchvision-0.1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(
        UnsupportedError, match=r"torchvision 0\.1 does not fit torch .*uninstall torchvision"
    ):
        environment.require_runnable()


def test_without_torchvision_all_is_well() -> None:
    environment.require_runnable()
    assert {check.subject for check in environment.checks()} >= {"torch", "torchvision", "threads"}
