"""Do the scripts of docs/examples run as they are printed, each with one import of ours?"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import attach_support
import face_support as support

MOST_LINES = {"compress_a_model.py": 15, "simulate_a_trace_root.py": 15}
"""A method of one's own has its class on top of these."""


@pytest.mark.parametrize("path", sorted(support.EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_imports_one_name_of_ours_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    modules = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    ]
    assert [name for name in modules if name and name.startswith("focal")] == ["focal"]
    body = [line for node in tree.body[1:] for line in range(node.lineno, (node.end_lineno or 0) + 1)]
    assert len(body) <= MOST_LINES.get(path.name, 40)


def run(name: str, folder: Path, *words: str) -> str:
    root = str(support.EXAMPLES.parents[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, str(support.EXAMPLES / name), *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_focus_on_a_stock_model_with_its_stock_processor(tmp_path: Path) -> None:
    checkpoint = support.save_checkpoint(tmp_path / "llava")
    attach_support.picture(3, 120, 90).save(tmp_path / "picture.png")
    said = run("compress_a_model.py", tmp_path, str(checkpoint), str(tmp_path / "picture.png"))
    assert "focus" in said
    assert "iVBORw0KGgo" in (tmp_path / "overlay.html").read_text(encoding="utf-8")  # the start of a PNG
    assert (tmp_path / "speedup.png").read_bytes().startswith(b"\x89PNG")


def test_a_trace_root(tmp_path: Path) -> None:
    said = run("simulate_a_trace_root.py", tmp_path, str(support.PUBLISHED))
    assert "geometric mean: " in said
    assert "bound: " in said
    assert (tmp_path / "results" / "results.csv").is_file()
    assert (tmp_path / "speedup.png").is_file()


def test_a_method_of_ones_own(tmp_path: Path) -> None:
    said = run("a_method_of_your_own.py", tmp_path)
    assert "normprune" in said
    assert (tmp_path / "overlay.html").is_file()
    assert (tmp_path / "speedup.png").is_file()
