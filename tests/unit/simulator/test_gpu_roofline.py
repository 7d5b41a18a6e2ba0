"""Is a roofline the longer of two quotients, and below what was measured?"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from focal.commands.gpu import app
from focal.commands.running import run_command
from focal_common.errors import ConfigError
from focal_simulator.gpu.files import gpu_names, read_gpu
from focal_simulator.gpu.report import COLUMNS
from focal_simulator.gpu.roofline import roofline
from focal_simulator.whole_model import operators
from focal_simulator.whole_model.presets import shape_preset
from focal_simulator.whole_model.vectors import gemm
from shape_support import small_shape
from simulator_support import PUBLISHED_ROOT


def test_each_operator_takes_the_longer_of_arithmetic_and_bytes() -> None:
    gpu = read_gpu("a100")
    wide, thin = (gemm("prefill", 0, "x", rows, 4096, 4096) for rows in (4096, 1))
    first, second = roofline([wide, thin], gpu).operators
    assert (first.bound, second.bound) == ("compute", "memory")
    assert first.seconds == pytest.approx(2 * 4096**3 / 312e12)
    assert second.seconds == pytest.approx(2 * (4096**2 + 2 * 4096) / 2.039e12)


def test_phases_sum_to_the_total_and_energy_is_power_times_time() -> None:
    gpu = read_gpu("jetson_orin_nano")
    *phases, total = roofline(operators(small_shape(), generated_tokens=3), gpu).phases
    assert sum(phase.seconds for phase in phases) == pytest.approx(total.seconds)
    assert sum(phase.traffic_bytes for phase in phases) == total.traffic_bytes
    assert total.energy_j == pytest.approx(15 * total.seconds)


def test_efficiency_scales_time() -> None:
    listed = operators(small_shape(), generated_tokens=3)
    full = roofline(listed, read_gpu("h100")).phases[-1]
    half = read_gpu("h100", ["compute_efficiency=0.5", "memory_efficiency=0.5"])
    assert roofline(listed, half).phases[-1].seconds == pytest.approx(2 * full.seconds)
    assert half.compute_efficiency.source.startswith("given: compute_efficiency=0.5")


def test_peaks_are_a_lower_bound_on_what_was_measured() -> None:
    with (PUBLISHED_ROOT / "jetson_gpu.csv").open(encoding="utf-8") as source:
        rows = {
            (row["model"], row["dataset"]): float(row["execution_time_s"])
            for row in csv.DictReader(source)
            if row["method"] == "gpu"
        }
    for model, name in (("llava_vid", "llava_video_7b"), ("llava_onevision", "llava_onevision_7b")):
        estimate = roofline(operators(shape_preset(name)), read_gpu("jetson_orin_nano"))
        assert 0.02 < estimate.phases[-1].seconds / rows[model, "videomme"] < 1
        assert not estimate.fits_memory


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compute_efficiency=0", "greater than 0"),
        ("memory_efficiency=1.5", "less than or equal to 1"),
        ("bandwidth=0", "greater than 0"),
        ("bandwith=1", "did you mean 'bandwidth'"),
    ],
)
def test_impossible_gpus_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_gpu("h100", [override])


def test_nothing_to_estimate_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least one"):
        roofline([], read_gpu("h100"))


def test_the_command_writes_rows_marked_estimated(tmp_path: Path) -> None:
    target = tmp_path / "a b.csv"
    words = ["--model", "llava_1_5_7b", "--gpu", "all", "--generated-tokens", "4", "--output", str(target)]
    assert run_command(app, words) == 0
    with target.open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    assert tuple(rows[0]) == COLUMNS
    assert {row["origin"] for row in rows} == {"estimated"}
    assert {row["gpu"] for row in rows} == set(gpu_names())
    assert len(rows) == len(gpu_names()) * 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu", "h300", "--model", "llava_1_5_7b"], "did you mean 'h200'"),
        (["--model", "llava_1_5"], "did you mean 'llava_1_5_7b'"),
        ([], "(--trace, --model)"),
        (["--model", "llava_1_5_7b", "--generated-tokens", "-1"], "generated_tokens must be at least 0"),
        (["--trace", "absent.counts.parquet"], "absent.counts.parquet"),
    ],
)
def test_wrong_words_give_one_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, words) == 2
    printed = capsys.readouterr().err
    assert message in " ".join(printed.split())
    assert "Traceback" not in printed
