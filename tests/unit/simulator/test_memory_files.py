"""Is a memory from a file what it says wherever a preset may stand, and refused in a sentence where it cannot be?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import focal
from focal_common.errors import ConfigError
from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.dram import DramModel, load_dram_spec, preset_names, read_memory
from focal_simulator.engine.cycle.simulate import cycle_context, simulate_cycles
from focal_simulator.jobs.context import memory_rates
from focal_simulator.results.work import given_workload
from focal_simulator.sweep.run import SweepRequest, run_sweep
from focal_simulator.sweep.study import Study

PAGE = (Path(__file__).parents[3] / "docs" / "dram_model.md").read_text(encoding="utf-8")
EXAMPLE, FIGURES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
GEMM = [(1, 2048, 2048)]


def saved(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_preset_written_out_is_the_preset(tmp_path: Path) -> None:
    for name in preset_names():
        path = tmp_path / f"{name}.yaml"
        with path.open("w", encoding="utf-8") as target:
            YAML(typ="safe", pure=True).dump(load_dram_spec(name).model_dump(mode="json"), target)
        assert read_memory(path) == load_dram_spec(name)
    given = build_accelerator("dense", overrides=[f"dram_system={tmp_path / 'hbm2_8ch_shipped.yaml'}"])
    named = build_accelerator("dense", overrides=["dram_system=hbm2_8ch_shipped"])
    assert cycle_context(given, frozenset()).rates == cycle_context(named, frozenset()).rates


def test_nanoseconds_become_cycles_as_data_sheets_round(tmp_path: Path) -> None:
    spec = load_dram_spec(saved(tmp_path, EXAMPLE))
    timing = spec.device.timing
    found = (timing.activate_to_column_cycles, timing.precharge_cycles, timing.refresh_interval_cycles)
    # 18 / 1.25 = 14.4, 21 / 1.25 = 16.8, 3906 / 1.25 = 3124.8; 5 / 1.25 is 4, not 5.
    assert found == (15, 17, 3125)
    assert timing.activate_to_activate_same_group_cycles == 4
    assert spec.request_bytes == 32
    assert spec.issue_width == spec.channels == 4


def test_a_stream_gets_the_peak_but_for_refresh_and_costs_what_a_bit_costs(tmp_path: Path) -> None:
    """Closed form: 4 channels x 2 bytes x 6.4 GT/s, less tRFC of every tREFI; 3 + 1 pJ/bit; 30 mW a rank."""
    steady = DramModel(load_dram_spec(saved(tmp_path, EXAMPLE))).steady_state()
    refreshed = 1 - 224 / 3125
    # Rows that a refresh closed are opened again.
    assert 0.95 * 51.2 * refreshed < steady.bytes_per_ns <= 51.2 * refreshed
    assert steady.dynamic_pj_per_byte == pytest.approx(8 * (3.0 + 1.0), rel=1e-12)
    assert steady.background_mw == pytest.approx(4 * 30, rel=1e-9)


def test_a_base_is_changed_field_by_field(tmp_path: Path) -> None:
    path = saved(
        tmp_path, "base: hbm2_1ch\nchannels: 4\ndevice: {timing: {clock_ns: 0.5}}\ninterface: null\n"
    )
    mine, base = load_dram_spec(path), load_dram_spec("hbm2_1ch")
    assert (mine.channels, mine.device.timing.clock_ns, mine.interface) == (4, 0.5, None)
    assert mine.device.timing.refresh_cycles == base.device.timing.refresh_cycles
    assert mine.device.organisation == base.device.organisation


@pytest.mark.parametrize("text", [EXAMPLE, FIGURES], ids=["banks", "figures"])
def test_every_way_to_name_a_memory_gives_the_same_run(tmp_path: Path, text: str) -> None:
    memory = saved(tmp_path, text, "memory.yaml")
    inline = "accelerator: inline\nbase: systolic_array\ndram:\n" + "".join(
        f"  {line}\n" for line in text.splitlines()
    )
    ways = [
        build_accelerator(saved(tmp_path, inline, "inline.yaml")),
        build_accelerator(
            saved(tmp_path, "accelerator: a\nbase: systolic_array\ndram: memory.yaml\n", "a.yaml")
        ),
        build_accelerator(
            saved(tmp_path, "accelerator: b\nbase: systolic_array\ndram_system: memory.yaml\n", "b.yaml")
        ),
        build_accelerator(
            saved(tmp_path, "accelerator: c\nbase: systolic_array\n", "c.yaml"),
            overrides=[f"dram_system={memory}"],
        ),
    ]
    runs = [simulate_cycles(one, given_workload(GEMM)) for one in ways]
    assert len({(run.total_cycles, run.total_mj) for run in runs}) == 1
    results = focal.simulate(GEMM, "dense", dram=memory)
    again = focal.simulate(GEMM, focal.accelerator("dense", dram_system=memory))
    assert results.frame()["cycles"].tolist() == again.frame()["cycles"].tolist()
    folder = results.save(tmp_path / "out", figure=False)
    held = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["hardware"]["dense"]
    assert held["dram_system"] == "given"
    assert str(tmp_path) not in json.dumps(held)
    path = tmp_path / "held.yaml"
    with path.open("w", encoding="utf-8") as target:
        YAML(typ="safe", pure=True).dump(held, target)
    assert build_accelerator("dense", path).hardware == results.runs[0].accelerator.hardware


def test_an_override_replaces_the_memory_of_a_file_and_its_fields_can_be_set(tmp_path: Path) -> None:
    path = saved(
        tmp_path, "accelerator: mine\nbase: systolic_array\ndram:\n  base: hbm2_1ch\n  channels: 2\n"
    )
    assert build_accelerator(path).hardware.dram.channels == 2  # type: ignore[union-attr]
    assert build_accelerator(path, overrides=["dram.channels=8"]).hardware.dram.channels == 8  # type: ignore[union-attr]
    hardware = build_accelerator(path, overrides=["dram_system=hbm2_1ch"]).hardware
    assert (hardware.dram, hardware.dram_system) == (None, "hbm2_1ch")


def test_memories_stand_on_an_axis_and_their_content_in_the_study(tmp_path: Path) -> None:
    saved(tmp_path, EXAMPLE, "lpddr5.yaml")
    saved(tmp_path, FIGURES, "figures.yaml")
    (tmp_path / "layers.csv").write_text("Layer,M,N,K,\nq,1,2048,2048,\n", encoding="utf-8")
    systems = ["hbm2_1ch", "lpddr5.yaml", "figures.yaml"]
    study = Study.model_validate(
        {
            "name": "memories", "kind": "grid", "accelerator": "dense", "fidelity": "cycle",
            "traces": {"root": "layers.csv", "provider": "gemms"},
            "axes": [{"field": "dram_system", "values": systems}, {"field": "arrays", "values": [1, 2]}],
            "objectives": [{"metric": "seconds"}],
        }
    )  # fmt: skip
    result = run_sweep(SweepRequest(study, tmp_path, None, tmp_path / "sweep"))
    for row in result.rows:
        dram = row["dram_system"] if row["dram_system"] == "hbm2_1ch" else str(tmp_path / row["dram_system"])
        own = focal.simulate(GEMM, "dense", dram=dram, overrides={"arrays": row["arrays"]}).frame().iloc[0]
        assert (row["status"], row["total_cycles"], row["total_mj"]) == (
            "ok",
            own["cycles"],
            own["energy_mj"],
        )
    written = (tmp_path / "sweep" / "study.json").read_text(encoding="utf-8")
    assert "LPDDR5_16Gb_x16_6400" in written
    assert str(tmp_path) not in written
    # Another content under the same name is another study.
    saved(tmp_path, EXAMPLE.replace("channels: 4", "channels: 8"), "lpddr5.yaml")
    with pytest.raises(ConfigError, match="memories"):
        run_sweep(SweepRequest(study, tmp_path, None, tmp_path / "sweep"))


def changed(old: str, new: str) -> str:
    assert old in EXAMPLE
    return EXAMPLE.replace(old, new)


WRONG = [
    (changed("channels: 4", "channels: 3"), r"mine.yaml: channels must be a power of two, got 3"),
    (changed("channels: 4", "channels: 64"), r"channels must be at most 32, got 64"),
    (changed("channels: 4", "channels: 0"), r"field 'channels': Input should be greater than or equal to 1, got 0"),
    (changed("clock_ns: 1.25", "clock_ns: .nan"), r"field 'device.timing.clock_ns' is nan, expected a finite number"),
    (changed("clock_ns: 1.25", "clock_ns: 0"), r"field 'device.timing': clock_ns is 0, expected a number above 0"),
    (changed("clock_ns: 1.25", "clock_ns: 1.0"), r"rate_mt_per_s is 6400, but burst_length 16 .* are 8000"),
    (changed("refresh_ns: 280", "refresh_ns: -1"), r"refresh_ns must be nanoseconds of 0 to 1e9, got -1"),
    (changed("refresh_ns: 280", "refresh_ns: 5000"), r"refresh_interval_cycles must exceed refresh_cycles"),
    (changed("refresh_ns: 280", "refresh_ns: 280\n    refresh_cycles: 2"), r"refresh_ns and refresh_cycles are given"),
    (changed("refresh_ns: 280", "refreh_ns: 280"), r"unknown field 'device.timing.refreh_ns'; did you mean 'refresh_c"),
    (changed("rows: 65536", "rows: 65537"), r"rows must be a power of two, got 65537"),
    (changed("read_pj_per_bit: 3.0", "read_pj_per_bit: .inf"), r"field 'device.energy.read_pj_per_bit'.*finite"),
    (changed("  pj_per_bit: 1.0", "  pj_per_bit: 1.0e+9"), r"field 'interface.pj_per_bit'.*less than or equal to 1000"),
    (EXAMPLE[: EXAMPLE.index("  energy:")], r"device.*expected either currents or energy"),
    ("base: hbm9\n", r"field 'base': unknown memory preset 'hbm9'; did you mean 'hbm2_1ch'"),
    ("base: 7\n", r"field 'base' is 7, expected the name of a memory preset"),
    ("base: hbm2_1ch\ndevice: hbm9\n", r"field 'device': unknown 'hbm9'"),
    ("bandwidth: {value: 1, unit: GB/s, source: mine}\n", r"field 'bandwidth.unit': Input should be 'B/s', got 'GB/s'"),
    ("- 1\n", r"expected a mapping of fields at the top level"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_no_memory_is_is_refused_with_file_and_field(tmp_path: Path, text: str, sentence: str) -> None:
    path = saved(tmp_path, text)
    for give in (lambda: read_memory(Path(path)), lambda: focal.simulate(GEMM, "dense", dram=path)):
        with pytest.raises(ConfigError, match=sentence) as refusal:
            give()
        assert str(refusal.value).startswith(path)
        assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_and_two_memories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        focal.simulate(GEMM, "dense", dram=str(tmp_path / "none.yaml"))
    both = saved(tmp_path, "accelerator: mine\nbase: dense\ndram_system: a.yaml\ndram: {base: hbm2_1ch}\n")
    with pytest.raises(ConfigError, match=r"'dram_system' is 'a.yaml' and 'dram' is given, expected one"):
        build_accelerator(both)
    with pytest.raises(ConfigError, match="field 'dram' is 5, expected a memory or the path of its file"):
        build_accelerator(saved(tmp_path, "accelerator: mine\nbase: dense\ndram: 5\n"))


def test_rates_are_those_of_the_clock_and_never_overflow(tmp_path: Path) -> None:
    spec = load_dram_spec(saved(tmp_path, EXAMPLE))
    slow, fast = memory_rates(spec, 1e9), memory_rates(spec, 5e8)
    assert slow.read_numerator == pytest.approx(2 * fast.read_numerator, abs=1)
    with pytest.raises(
        ConfigError, match=r"bandwidth of lpddr5_4x16 is .* expected at least .* for 1024 arrays"
    ):
        memory_rates(spec, 1e12, 1024)
