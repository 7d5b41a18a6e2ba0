"""Do the scripts at the top call the runner with the right suite, and refuse a slip of the pen?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from focal_algorithm.matrix.schema import read_matrix

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in ROOT.glob("run_*.sh") if path.name != "run_tests.sh")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts beside a `focal` that prints its words."""
    root = tmp_path_factory.mktemp("tree")
    for name in SCRIPTS:
        shutil.copy(ROOT / name, root / name)
    (root / "algorithm").mkdir()
    shutil.copy(ROOT / "algorithm" / "run_focus.sh", root / "algorithm")
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "run_matrix.sh", root / "scripts")
    (root / "scripts" / "setup_env.sh").write_text("exit 0\n")
    focal = root / ".venv" / "bin" / "focal"
    focal.parent.mkdir(parents=True)
    focal.write_text('#!/bin/sh\necho "$@"\n')
    focal.chmod(0o755)
    return root


def call(tree: Path, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(tree / name), *words], capture_output=True, text=True, check=False)


def test_there_is_a_script_for_every_system() -> None:
    systems = (
        "focus",
        "focus_image",
        "adaptiv",
        "adaptiv_image",
        "cmc",
        "framefusion",
        "original",
        "original_image",
    )
    assert set(SCRIPTS) == {
        f"run_{name}.sh" for name in (*systems, "dse", "visionzip", "sparsevlm", "sparsezip")
    }


def test_focus_alone_keeps_its_quick_run(tree: Path) -> None:
    trace = "trace --precision float --simulate dense,focus,focus_sec_only"
    assert call(tree, "run_focus.sh").stdout.strip() == trace
    assert call(tree, "run_focus.sh", "--profile", "hub", "--model", "a/b").stdout.strip().startswith(trace)
    assert "trace --precision int8" in call(tree, "run_focus.sh", "int8", "--samples", "1").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("full",), "matrix --only focus_full --profile paper"),
        (("int8", "full"), "matrix --only focus_int8_full --profile paper"),
        (("full", "int8", "--resume"), "matrix --only focus_int8_full --profile paper --resume"),
        (("int8", "--profile", "paper"), "matrix --only focus_int8 --profile paper"),
    ],
)
def test_focus_on_the_published_matrix(words: tuple[str, ...], expected: str, tree: Path) -> None:
    assert call(tree, "run_focus.sh", *words).stdout.strip() == expected


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "run_focus.sh"])
def test_a_script_names_a_suite_of_both_profiles(name: str, tree: Path) -> None:
    suite = name.removeprefix("run_").removesuffix(".sh")
    assert call(tree, name, "--resume").stdout.strip() == f"matrix --only {suite} --resume"
    assert suite in read_matrix("offline").suites
    assert suite in read_matrix("paper").suites
    word = next(one for one in ("full", "accuracy") if f"[{one}]" in call(tree, name, "--help").stdout)
    assert call(tree, name, word).stdout.strip() == f"matrix --only {suite}_{word} --profile paper"
    assert f"{suite}_{word}" in read_matrix("paper").suites


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_slip_of_the_pen_is_one_sentence(name: str, tree: Path) -> None:
    done = call(tree, name, "quick")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: unknown word 'quick'; usage: sh {name}")
    assert len(done.stderr.splitlines()) == 1
