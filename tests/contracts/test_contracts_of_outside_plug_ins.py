"""Do the test files of the documentation pass for its plug-ins in another package, and notice when these are wrong?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import page_support

ROOT = Path(__file__).parents[2]
PAGES = {
    "adding_a_method.md": ("focal.methods", "normprune = normprune:NormPrune"),
    "adding_a_model.md": ("focal.models", "deepseek_vl = deepseek_vl:DeepSeekVl"),
    "adding_an_accelerator.md": ("focal.accelerators", "small_array = small_array.accelerator:SmallArray"),
}
"""Entry point of each page's plug-in."""

FAULTS = {
    "normprune.py": ("hidden.norm(dim=-1)", "hidden.norm(dim=-1) * __import__('torch').rand(len(hidden))"),
    "deepseek_vl.py": ("token_grid(1, side, side)", "token_grid(1, side, side + 1)"),
    "small_array/accelerator.py": ("context)\n\n    def live", "context).array\n\n    def live"),
}
"""What makes each plug-in wrong: a score drawn at random, a wrong grid, and an array in the place of a lowering."""


def installed(folder: Path) -> None:
    """Write the pages' modules and test files into a folder, with entry points as of an installed package."""
    groups = []
    for page, (group, line) in PAGES.items():
        groups += [f"[{group}]", line]
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for code, name in re.findall(r'```python\n("""(\w+\.py): .*?)```', text, re.DOTALL):
            (folder / name).write_text(code, encoding="utf-8")
    page_support.save(folder / "small_array")
    info = folder / "plug_ins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-ins\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(groups), encoding="utf-8")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the test files of a folder in a process of their own, without this repository's pytest settings."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    paths = [str(folder), *(entry for entry in sys.path if entry)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_printed_plug_ins_pass_the_printed_tests(tmp_path: Path) -> None:
    installed(tmp_path)
    done = run(tmp_path, "-W", "error::pytest.PytestWarning")
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[-1]) > 60


def test_wrong_plug_ins_fail_them(tmp_path: Path) -> None:
    installed(tmp_path)
    for name, (right, wrong) in FAULTS.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(right) == 1, name
        (tmp_path / name).write_text(text.replace(right, wrong), encoding="utf-8")
    done = run(tmp_path, "--tb=line")
    for name in FAULTS:
        assert f"FAILED test_{name.partition('/')[0].removesuffix('.py')}.py" in done.stdout, done.stdout[
            -4000:
        ]


def test_pytest_is_loaded_by_focal_testing_alone() -> None:
    code = "import sys, focal, focal.simulation; assert 'pytest' not in sys.modules; "
    code += "from focal.testing import AcceleratorContract; assert 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_name_that_is_no_contract_is_one_sentence() -> None:
    import focal.testing

    with pytest.raises(AttributeError, match=r"focal\.testing.*'MethodsContract'"):
        _ = focal.testing.MethodsContract
