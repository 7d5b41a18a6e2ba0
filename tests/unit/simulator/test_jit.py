"""Does any change of a kernel source leave the old compiled code behind, and is nothing compiled twice?"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from focal_simulator.kernels import jit


def cache_name(package: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(jit, "_PACKAGE", package)
    return Path(jit._cache_folder.__wrapped__()).name


def test_a_changed_neighbour_of_a_kernel_means_another_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "pipeline.py").write_text("@kernel\n")
    constants = tmp_path / "kernels" / "state.py"
    constants.write_text("PLACES = 17\n")
    before = cache_name(tmp_path, monkeypatch)
    assert cache_name(tmp_path, monkeypatch) == before
    constants.write_text("PLACES = 18\n")
    assert cache_name(tmp_path, monkeypatch) != before


def test_compiled_code_of_others_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that others can write, or a link, is passed over; the last resort is a new private one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    name = cache_name(tmp_path, monkeypatch)
    assert (tmp_path / "__pycache__" / name).stat().st_mode & 0o077 == 0
    (tmp_path / "__pycache__" / name).chmod(0o777)
    assert jit._cache_folder.__wrapped__() == str(tmp_path / "home" / "focal" / name)
    (tmp_path / "home" / "focal").chmod(0o777)
    last = Path(jit._cache_folder.__wrapped__())
    assert tmp_path not in last.parents
    assert last.parent.stat().st_mode & 0o077 == 0


def test_every_file_with_kernels_is_watched() -> None:
    package = jit._PACKAGE
    homes = {path.parent for path in package.rglob("*.py") if "@kernel\n" in path.read_text()}
    assert homes == {package / name for name in jit._KERNEL_FOLDERS}


def test_a_kernel_outside_the_watched_folders_is_refused() -> None:
    def stray(x: int) -> int:
        return x

    stray.__module__ = "focal_simulator.engine.parity.level"
    with pytest.raises(ValueError, match="kernels live in dram or kernels"):
        jit.kernel(stray)


def test_a_number_that_a_caller_spells_out_compiles_nothing_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled(x: int) -> int:
        return 2 * x

    def grown(most: int) -> int:
        place = 0
        while place < most:
            place += double(place) + double(1)
        return place

    monkeypatch.setattr(jit, "_cache_folder", lambda: str(tmp_path))
    doubled.__module__ = grown.__module__ = "focal_simulator.kernels.made"
    double = jit.kernel(doubled)
    assert jit.kernel(grown)(10) == grown(10) == 26
    assert len(double.signatures) == 1


def test_kernels_that_are_not_compiled_give_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "layers.csv").write_text("Layer, M, N, K\nfc1, 64, 128, 96\n")
    program = "from focal.commands.main import main; main()"
    words = [
        "sim",
        "--gemms",
        "layers.csv",
        "--accelerator",
        "dense",
        "--no-figure",
        "--json",
        "--output",
        "out",
    ]
    rows = []
    for disabled in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_DISABLE_JIT": disabled},
            cwd=tmp_path,
            capture_output=True,
            check=True,
            timeout=300,
        )
        rows.append(json.loads(done.stdout)["rows"])
    assert rows[0] == rows[1]
