"""Does the fused matching kernel equal the plain one?"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from focal_algorithm.kernels import matching

CHECK = Path(__file__).parents[1] / "check_triton_matching.py"
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")


def checked(*words: str, **environment: str) -> str:
    # A process of its own: triton reads the variable while it is imported.
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(CHECK), *words],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_triton
def test_the_fused_kernel_agrees_under_the_interpreter() -> None:
    assert "agree" in checked(TRITON_INTERPRET="1")


@needs_triton
def test_the_fused_kernel_compiles(tmp_path: Path) -> None:
    assert "compiles" in checked("compile", TRITON_CACHE_DIR=str(tmp_path))


@pytest.mark.gpu
@needs_triton
def test_the_fused_kernel_agrees_on_a_gpu() -> None:
    assert "agree" in checked("cuda")


@pytest.mark.parametrize(("has_triton", "kernel"), [(True, "triton"), (False, "torch")])
def test_the_choice_is_visible(has_triton: bool, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "_has_triton", lambda: has_triton)
    assert matching.matching_kernel(torch.device("cuda")) == kernel
    assert kernel in matching.matching_note(torch.device("cuda")).lower()
    assert matching.matching_kernel(torch.device("cpu")) == "torch"
    assert matching.matching_note(torch.device("cpu")) == ""
