"""Does the trace reader work where torch is not installed?"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from focal_common.errors import UnsupportedError
from focal_traces.files.store import open_trace, write_counts, write_masks
from traces_support import tiny_masks, tiny_trace


def _run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


def test_importing_and_reading_counts_leaves_torch_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.counts.parquet"
    write_counts(tiny_trace(), path)
    _run(
        "import sys, pathlib, focal_traces, focal_traces.files.store, focal_traces.root.root\n"
        "import focal.commands.trace_files\n"
        "import focal_traces.masks.published, focal_traces.masks.masks, focal_traces.synthetic.calibrated\n"
        f"focal_traces.files.store.open_trace(pathlib.Path({str(path)!r}))\n"
        "assert not {'torch', 'pandas', 'numba', 'transformers'} & set(sys.modules), 'heavy import'\n"
    )


def test_without_torch_counts_open_and_masks_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, masks = tmp_path / "a.counts.parquet", tmp_path / "a.masks.pth"
    write_counts(tiny_trace(), counts)
    write_masks(tiny_masks(), masks)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert len(open_trace(counts).samples) == 2
    with pytest.raises(UnsupportedError, match="pip install"):
        open_trace(masks)


def test_only_the_guarded_reader_imports_torch_and_only_inside_a_function() -> None:
    import focal_common
    import focal_traces

    found = {}
    folders = [Path(package.__file__).parent for package in (focal_common, focal_traces)]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "torch" for name in names):
                found[path.name] = node.col_offset
    assert list(found) == ["torch_files.py"]
    assert found["torch_files.py"] > 0
