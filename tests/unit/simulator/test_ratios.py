"""Is every ratio taken over the dense array of the same run, whatever the settings?"""

from __future__ import annotations

import json
import random
import sys
from itertools import product
from pathlib import Path

import pytest

from focal.commands.sim import main
from focal_common.errors import ConfigError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.results.ratios import ENERGY, SPEEDUP, over_dense
from focal_simulator.results.runner import FIDELITIES, Outcome, Settings, run_all
from focal_simulator.workload.workload import Workload
from simulator_support import PUBLISHED_ROOT, small_workload

OVERRIDES = (
    (),
    ("core.array_columns=64", "tiles.n_tile=128"),
    ("core.array_rows=16",),
    ("clock=7.5e+8",),
    ("core.scatter_vectors=4",),
    ("components.max_unit_sec.power=10",),
    ("components.systolic_array.power=900", "precision.partial_sums=fp32"),
    ("dram_system=hbm2_1ch", "leakage_fraction=0.5"),
    ("dataflow.is_weight_double_buffered=true",),
    ("tiles.n_tile=64",),
)
ASKED = (
    ("dense", "focus"),
    ("focus", "dense"),
    ("focus",),
    ("adaptiv", "cmc"),
    ("focus_sec_only", "cmc", "dense", "adaptiv", "focus"),
    ("all",),
)


Case = tuple[tuple[str, ...], str, str, tuple[str, ...]]


def is_lawful(overrides: tuple[str, ...], sram: str, fidelity: str, asked: tuple[str, ...]) -> bool:
    """Return whether nothing is refused: fields without effect, buffers without macros, fields nobody has."""
    fields = {one.split(".")[0].split("=")[0] for one in overrides}
    if fidelity == "parity" and fields & {"precision", "dram_system", "leakage_fraction", "dataflow"}:
        return False
    if sram == "auto" and (fields & {"tiles", "precision"}):
        return False
    return asked != ("adaptiv", "cmc") or "components" not in fields


CASES = [
    case for case in product(OVERRIDES, ("auto", "cacti"), ("parity", "cycle"), ASKED) if is_lawful(*case)
]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return small_workload()


def run(
    overrides: tuple[str, ...], sram: str, fidelity: str, asked: tuple[str, ...], one: Workload
) -> Outcome:
    settings = Settings(accelerators=asked, fidelity=fidelity, sram=sram, overrides=overrides)  # type: ignore[arg-type]
    return run_all(settings, [one])


def dense_of(case: Case, workload: Workload) -> tuple[float, float]:
    """Return time and energy of the dense array with the fields that it has, without any runner."""
    overrides, sram, fidelity, _ = case
    own = [one for one in overrides if not one.startswith("components.max_unit_sec")]
    level = FIDELITIES.load(fidelity)(Settings())
    result = level.simulate(build_accelerator("dense", overrides=own), workload, sram)
    return result.seconds, result.total_mj


@pytest.mark.parametrize("case", random.Random(15).sample(CASES, 60), ids=str)
def test_a_ratio_is_the_quotient_of_two_rows_of_the_run(case: Case, workload: Workload) -> None:
    found = run(*case, workload)
    assert {one.name for one in found.runs} >= set(case[3]) - {"all"}
    seconds, energy_mj = dense_of(case, workload)
    for one in found.runs:
        assert one.row[SPEEDUP] == seconds / float(one.row["seconds"])
        assert one.row[ENERGY] == float(one.row["energy_mj"]) / energy_mj
        if one.name == "dense":
            assert one.row[SPEEDUP] == one.row[ENERGY] == 1.0
    is_shown = "dense" in {one.name for one in found.runs}
    assert ("Dense was run for them and is not shown." in found.basis) is not is_shown
    assert "over dense in this run: same overrides and cost models" in found.basis


def test_the_case_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--sram", "cacti", "--set", "core.array_columns=64", "--set", "tiles.n_tile=128"]
    shown = sim(
        monkeypatch, capsys, tmp_path, "--accelerator", "dense,focus", "--no-figure", "--json", *words
    )
    dense, focus = json.loads(shown)["rows"]
    assert dense[SPEEDUP] == 1.0
    assert focus[SPEEDUP] == dense["seconds"] / focus["seconds"] == pytest.approx(5.17, abs=0.005)
    alone = json.loads(
        sim(monkeypatch, capsys, tmp_path, "--accelerator", "focus", "--no-figure", "--json", *words)
    )
    assert [row[SPEEDUP] for row in alone["rows"]] == [focus[SPEEDUP]]
    assert alone["ratios"].endswith("cost models. Dense was run for them and is not shown.")


def sim(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], output: Path, *words: str
) -> str:
    """Return what the command prints."""
    chosen = ("--trace", str(PUBLISHED_ROOT), "--model", "llava_vid", "--dataset", "videomme")
    monkeypatch.setattr(sys, "argv", ["run.py", *chosen, "--output", str(output), *words])
    assert main() == 0
    return capsys.readouterr().out


def test_tables_say_what_ratios_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--accelerator", "focus", "--set", "core.array_columns=64", "--no-figure")
    shown = sim(monkeypatch, capsys, tmp_path, *words, "--model-shape", "llava_video_7b")
    said = "over dense in this run: same overrides and cost models. Dense was run for them and is not shown."
    assert " ".join(shown.split()).count(said) == 2


def test_the_whole_inference_is_over_the_dense_array_of_the_run_shown_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "--set",
        "core.array_columns=64",
        "--no-figure",
        "--model-shape",
        "llava_video_7b",
        "--generate",
        "2",
    )
    both = sim(monkeypatch, capsys, tmp_path / "a", "--accelerator", "dense,focus", *words)
    alone = sim(monkeypatch, capsys, tmp_path / "b", "--accelerator", "focus", *words)

    def whole(shown: str, name: str) -> list[str]:
        lines = shown[shown.index("Whole inference") :].splitlines()
        return next(line.split("│")[2:-1] for line in lines if f"│ {name} " in line)

    assert whole(both, "focus") == whole(alone, "focus")
    dense, focus = whole(both, "dense"), whole(both, "focus")
    assert dense[-3].strip() == "1.00 x"
    assert float(focus[-3].split()[0]) == pytest.approx(float(dense[-4]) / float(focus[-4]), rel=5e-3)


def test_fields_reach_the_accelerators_that_have_them_and_the_basis_says_so(workload: Workload) -> None:
    found = run(
        ("core.array_columns=64", "components.max_unit_sec.power=9"), "auto", "cycle", ("all",), workload
    )
    assert [one.name for one in found.runs] == ["adaptiv", "cmc", "dense", "focus", "focus_sec_only"]
    assert "core.array_columns=64 does not reach adaptiv: no such field." in found.basis
    assert "components.max_unit_sec.power=9 does not reach adaptiv, cmc, dense: no such field." in found.basis
    plain = run((), "auto", "cycle", ("adaptiv",), workload).runs[0]
    (adaptiv,) = (one for one in found.runs if one.name == "adaptiv")
    assert adaptiv.row["cycles"] == plain.row["cycles"]
    assert adaptiv.row[SPEEDUP] != plain.row[SPEEDUP]


@pytest.mark.parametrize("asked", [("all",), ("adaptiv", "focus"), ("dense", "focus"), ("focus",)])
def test_a_field_that_no_accelerator_of_the_run_has_is_refused(
    asked: tuple[str, ...], workload: Workload
) -> None:
    with pytest.raises(ConfigError, match=r"has no field 'scatter_vector'; did you mean 'scatter_vectors'"):
        run(("core.scatter_vector=4",), "auto", "cycle", asked, workload)
    with pytest.raises(ConfigError, match="expected field=value"):
        run(("core.scatter_vectors",), "auto", "cycle", asked, workload)


def test_where_dense_cannot_be_run_there_is_no_ratio_and_the_reason(workload: Workload) -> None:
    found = run((), "auto", "parity_layer", ("focus",), workload)
    (only,) = found.runs
    assert only.row[SPEEDUP] == only.row[ENERGY] == ""
    assert "No ratios where dense cannot be run: dense: fidelity parity_layer" in found.basis
    found = run(("tiles.m_tile=512",), "cacti", "cycle", ("focus",), workload)
    assert found.runs[0].row[SPEEDUP] == ""
    assert "No ratios where dense cannot be run: dense: core.row_limit is 1024, expected" in found.basis
    found = run(("tiles.m_tile=512", "core.row_limit=512"), "cacti", "cycle", ("focus",), workload)
    assert float(found.runs[0].row[SPEEDUP]) > 1


def test_zero_gives_no_ratio() -> None:
    assert over_dense(0.0, 0.0, (1.0, 0.0)) == {SPEEDUP: "", ENERGY: ""}
    assert over_dense(2.0, 3.0, (4.0, 12.0)) == {SPEEDUP: 2.0, ENERGY: 0.25}
