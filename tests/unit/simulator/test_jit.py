"""Does any change of a kernel source leave the old compiled code behind, and is nothing compiled twice?"""

from pathlib import Path

import numpy as np
import pytest

from focal_simulator import jit
from focal_simulator.kernels.pipeline import Pipeline
from focal_simulator.kernels.slices import _agrees, run_slices
from focal_simulator.kernels.steady import PackedGemms, packed_cycles


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


def test_a_number_that_a_caller_spells_out_compiles_nothing_anew() -> None:
    one = np.array([0, 1])
    gemm = PackedGemms(one, one[:1], one[1:], one[1:], one[1:], one[1:], one)
    packed_cycles(Pipeline(*[1] * 16), gemm)
    for kernel in (run_slices, _agrees):
        assert len(kernel.signatures) == 1, kernel.signatures
