"""Is an accelerator of a hardware file alone what the file says, priced throughout, and refused in one sentence?"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import focal
from focal_common.errors import ConfigError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.presets import build_accelerator, hardware_label
from focal_simulator.costs.buffer_costs import buffer_costs
from focal_simulator.engine.cycle.simulate import simulate_cycles
from focal_simulator.results.runner import Settings, run_all
from focal_simulator.results.work import given_workload
from simulator_support import PUBLISHED_ROOT, small_workload

WITHOUT_SOFTMAX = frozenset(
    {"tile_lengths", "causal_tiles", "attention_traffic", "dram_stalls", "dense_buffers", "core_energy"}
)


def described(folder: Path, text: str = "", base: str = "systolic_array", name: str = "mine") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(f"accelerator: {name}\nbase: {base}\n{text}", encoding="utf-8")
    return str(path)


def test_the_plain_array_is_the_dense_array_of_its_size(tmp_path: Path) -> None:
    workload = small_workload(2048)
    plain = simulate_cycles(build_accelerator(described(tmp_path)), workload, "cacti", WITHOUT_SOFTMAX)
    dense = simulate_cycles(build_accelerator("dense"), workload, "cacti", WITHOUT_SOFTMAX)
    assert plain.causes == dense.causes
    assert plain.moved_bytes == dense.moved_bytes


def test_the_array_of_kept_tokens_computes_what_the_method_left(tmp_path: Path) -> None:
    workload = small_workload(2048)
    every, kept = (
        simulate_cycles(build_accelerator(described(tmp_path, base=base)), workload)
        for base in ("systolic_array", "token_array")
    )
    assert kept.total_cycles < every.total_cycles
    assert kept.macs < every.macs == kept.dense_macs


@pytest.mark.parametrize("base", list(ACCELERATORS))
def test_a_file_that_says_no_more_than_its_base_gives_the_same_numbers(tmp_path: Path, base: str) -> None:
    preset = focal.simulate(PUBLISHED_ROOT, base, models=["llava_vid"], datasets=["mvbench"]).frame()
    mine = focal.simulate(
        PUBLISHED_ROOT, described(tmp_path, base=base), models=["llava_vid"], datasets=["mvbench"]
    ).frame()
    same = [name for name in preset if name not in ("accelerator", "hardware")]
    assert preset[same].equals(mine[same])
    assert list(mine["accelerator"]) == ["mine"]


def test_nothing_that_follows_from_the_size_is_free(tmp_path: Path) -> None:
    """Multipliers, buffers and ports of four times the array cost more; per multiplier the core costs the same."""
    sizes = [
        build_accelerator(
            described(tmp_path, f"core: {{array_rows: {n}, array_columns: {n}}}\ntiles: {{n_tile: 128}}")
        )
        for n in (16, 32, 64)
    ]
    cores = [
        [(p.area.value * p.count.value, p.power.value * p.count.value) for p in one.components()]
        for one in sizes
    ]
    for (small,), (large,) in pairwise(cores):
        assert large == pytest.approx((4 * small[0], 4 * small[1]))
    areas = [sum(cost.area_mm2 for cost in buffer_costs(one)) for one in sizes]
    assert areas == sorted(areas)
    assert {cost.source.partition(",")[0] for cost in buffer_costs(sizes[0])} == {"cacti"}


@pytest.mark.parametrize("rows", [1, 3, 8, 100, 256])
@pytest.mark.parametrize("columns", [1, 5, 64, 256])
def test_every_size_up_to_the_widest_port_is_priced(tmp_path: Path, rows: int, columns: int) -> None:
    text = (
        f"core: {{array_rows: {rows}, array_columns: {columns}}}\ntiles: {{m_tile: 16, n_tile: {columns}}}\n"
    )
    costs = buffer_costs(build_accelerator(described(tmp_path, text)))
    assert all(cost.area_mm2 > 0 and cost.static_mw > 0 for cost in costs)


def test_a_wider_array_in_a_sweep_has_more_multipliers(tmp_path: Path) -> None:
    wide = build_accelerator(described(tmp_path), overrides=["core.array_columns=64"])
    assert [part.count.value for part in wide.components()] == [32 * 64]


def test_a_bare_number_keeps_the_unit_and_says_what_it_replaced(tmp_path: Path) -> None:
    clock = build_accelerator(described(tmp_path, "clock: 7.0e+8\n")).hardware.clock
    assert (clock.value, clock.unit) == (7e8, "Hz")
    assert clock.source.startswith("mine.yaml (was: 500000000.0, Focus artifact")


def test_precision_is_applied_once(tmp_path: Path) -> None:
    path = described(tmp_path, "precision: int8\n", base="dense")
    runs = [
        run_all(Settings(accelerators=(name,), precision=precision), [small_workload()]).runs[0].result
        for name, precision in (("dense", "int8"), (path, "fp16"), (path, "int8"))
    ]
    assert runs[0].total_mj == runs[1].total_mj == runs[2].total_mj
    assert runs[0].total_cycles == runs[1].total_cycles


def test_the_manifest_holds_a_hardware_file(tmp_path: Path) -> None:
    text = "core: {array_rows: 16}\nclock: {value: 7.0e+8, unit: Hz, source: mine}\n"
    path = described(tmp_path, text, base="focus")
    results = focal.simulate(PUBLISHED_ROOT, path, models=["llava_vid"], datasets=["mvbench"])
    folder = results.save(tmp_path / "out", figure=False)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    again = tmp_path / "again.yaml"
    with again.open("w", encoding="utf-8") as target:
        YAML(typ="safe", pure=True).dump(manifest["hardware"]["mine"], target)
    first, second = build_accelerator(path), build_accelerator(str(again))
    assert first.hardware == second.hardware
    assert hardware_label(first) == hardware_label(second) == results.frame()["hardware"][0] != "preset"
    (row,) = [
        line
        for line in (folder / "accelerators.csv").read_text(encoding="utf-8").splitlines()
        if "mine" in line
    ]
    assert row.endswith(",mine")


MEMORY = """
dram:
  bandwidth: {value: 1.0e+9, unit: B/s, source: mine}
  energy: {value: 4, unit: pJ/bit, source: mine}
  background: {value: 100, unit: mW, source: mine}
"""


def test_a_memory_by_its_figures_costs_what_they_say(tmp_path: Path) -> None:
    """A GEMM of one row is bound by its bytes: a byte takes a nanosecond, 32 pJ, and a tenth of a watt all the time."""
    mine = build_accelerator(described(tmp_path, MEMORY))
    result = simulate_cycles(mine, given_workload([(1, 2048, 2048)]))
    # Nothing overlaps the first fetch and the last write.
    assert result.seconds == pytest.approx(result.dram_bytes * 1e-9, rel=0.01)
    assert result.seconds >= result.dram_bytes * 1e-9 * (1 - 1e-5)
    dram = sum(item.energy_mj for item in result.breakdown if item.group == "dram")
    assert dram == pytest.approx(result.dram_bytes * 32e-9 + 100 * result.seconds, rel=1e-12)
    fast = build_accelerator(described(tmp_path, MEMORY.replace("1.0e+9", "1.0e+15")))
    assert simulate_cycles(fast, given_workload([(1, 2048, 2048)])).total_cycles < result.total_cycles / 10


WRONG = [
    (
        MEMORY.strip().replace("B/s", "GB/s"),
        r"field 'dram.bandwidth.unit': Input should be 'B/s', got 'GB/s'",
    ),
    (MEMORY.strip().replace("1.0e+9", "0"), r"field 'dram.bandwidth.value': Input should be greater than"),
    (
        MEMORY.strip().replace("value: 4,", "value: .inf,"),
        r"field 'dram.energy.value' is inf, expected a finite number",
    ),
    (MEMORY.strip() + "\ndram_system: hbm2_1ch", r"dram_system is 'hbm2_1ch', expected 'given'"),
    ("dram_system: given", r"dram_system is 'given', expected a preset"),
    ("base: systolic_aray", r"field 'base' is 'systolic_aray'.*did you mean 'systolic_array'"),
    ("accelerator: focus", r"field 'accelerator' is 'focus', which Focal has already.*such as mine"),
    ("accelerator: a/b", r"field 'accelerator': 'a/b' holds '/'"),
    ("accelerator: 7", r"field 'accelerator' is 7, expected a name of its own, such as mine"),
    ("core: {array_row: 8}", r"unknown field 'core.array_row'; did you mean 'array_rows'"),
    ("core: {array_rows: 0}", r"field 'core.array_rows.value': Input should be greater than 0, got 0"),
    (
        "core: {array_rows: 99999999999999999999}",
        r"field 'core.array_rows' has 67 bits, expected at most 63",
    ),
    ("core: {array_rows: 1e+30}", r"field 'core.array_rows.value'.*less than or equal to 16777216"),
    ("core: {array_rows: .inf}", r"field 'core.array_rows' is inf, expected a finite number"),
    ("core: {array_rows: true}", r"field 'core.array_rows' is True, expected a finite number"),
    ("core: 5", r"field 'core': Input should be a valid dictionary"),
    ("clock: 1 GHz", r"field 'clock' is '1 GHz', expected a finite number in Hz"),
    ("clock: {value: 1, unit: GHz, source: mine}", r"field 'clock.unit': Input should be 'Hz', got 'GHz'"),
    ("clock: {value: 1.0e+9}", r"field 'clock'.*has no source"),
    ("clock: 1.0e+300", r"field 'clock.value'.*less than or equal to 1000000000000"),
    (
        "components: {multiplier: {area: .inf}}",
        r"field 'components.multiplier.area' is inf, expected a finite number",
    ),
    (
        "components: {multiplier: {area: 1.0e+300}}",
        r"field 'components.multiplier.area.value'.*less than or equal to",
    ),
    ("components: {adder: {label: adders}}", r"field 'components.adder.area': Field required"),
    ("dram_system: hbm9", r"field 'dram_system': unknown memory preset 'hbm9'; did you mean 'hbm2_1ch'"),
    ("precision: int9", r"field 'precision': precision 'int9': did you mean 'int8'"),
]


@pytest.mark.parametrize(("line", "sentence"), WRONG)
def test_what_cannot_be_is_refused_with_file_and_field(tmp_path: Path, line: str, sentence: str) -> None:
    given: dict[str, Any] = {"accelerator": "accelerator: mine", "base": "base: systolic_array"}
    given[line.partition(":")[0]] = line
    path = tmp_path / "mine.yaml"
    path.write_text("\n".join(given.values()), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"mine\.yaml: {sentence}"):
        build_accelerator(str(path))


FITS = [
    (
        MEMORY.strip().replace("1.0e+9", "1.0e-300"),
        r"^dram.bandwidth is 1e-300 B/s, expected at least 488281",
    ),
    (
        "buffers: {input: {size: {value: 64, unit: B, source: mine}}}",
        r"^mine: field 'buffers.input.size' is 64, expected at least",
    ),
    *(
        (
            f"buffers: {{{name}: {{port: {{value: 2, unit: B, source: mine}}}}}}",
            rf"^mine: field 'buffers.{name}.port' is 2, expected at least 64: 32 elements of 16 bits a cycle",
        )
        for name in ("input", "wgt", "output")
    ),
    (
        "components: {multiplier: {count: {value: 1, unit: '1', source: mine}}}",
        r"^mine: field 'components.multiplier.count' is 1, expected at least 1024, one for each multiplier",
    ),
    (
        "buffers: {inputs: {copies: {value: 1, unit: '1', source: mine}}}",
        r"^mine: .* expected exactly input, wgt, output",
    ),
    ("tiles: {n_tile: 8}", r"^mine: tiles.n_tile is 8, expected at least core.array_columns \(32\)"),
    (
        "core: {array_rows: 1000000}",
        r"^mine: buffer 'input' would hold 4096000000 bytes, expected at most 1073741824; make the tiles",
    ),
    ("sram_node: 0.029", r"^mine: .*SRAM node_um 0.029 is not in the table; expected one of"),
]


@pytest.mark.parametrize(("line", "sentence"), FITS)
def test_parts_that_do_not_fit_are_refused_by_name(tmp_path: Path, line: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        run_all(Settings(accelerators=(described(tmp_path, line),)), [small_workload()])


def test_files_are_refused_where_they_contradict_one_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    first, second = described(tmp_path), described(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"its name 'mine' is that of .* too"):
        run_all(Settings(accelerators=(first, second)), [small_workload()])
    with pytest.raises(ConfigError, match="field 'base' makes an accelerator of its own"):
        build_accelerator("focus", Path(first))
    with pytest.raises(ConfigError, match="is a hardware file itself"):
        focal.accelerator(first, hardware=second)
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such file"):
        focal.accelerator("gone.yaml")


def test_a_unit_that_idles_for_want_of_counts_is_refused_under_the_own_name(tmp_path: Path) -> None:
    path = described(tmp_path, base="focus")
    bare = small_workload()
    with pytest.raises(focal.FocalError, match=r"^mine: .* has no Focus trace"):
        run_all(Settings(accelerators=(path,)), [type(bare)("none", "video", 4, 1, 4)])
