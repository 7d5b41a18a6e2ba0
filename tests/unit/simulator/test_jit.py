"""Does any change of a kernel source leave the old compiled code behind?"""

from pathlib import Path

import pytest

from focal_simulator import jit


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


def test_a_kernel_outside_the_watched_folders_is_refused() -> None:
    def stray(x: int) -> int:
        return x

    stray.__module__ = "focal_simulator.energy"
    with pytest.raises(ValueError, match="kernels live in dram or kernels"):
        jit.kernel(stray)
