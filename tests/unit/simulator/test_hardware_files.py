"""Does a wrong hardware file give one sentence that names field and expectation?"""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from focal_common.errors import ConfigError
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.presets import build_accelerator, hardware_tree
from focal_simulator.costs.buffer_costs import buffer_costs
from focal_simulator.costs.sram_macros import macro_table


def written(tmp_path: Path, tree: dict[str, object]) -> Path:
    path = tmp_path / "mine.yaml"
    with path.open("w", encoding="utf-8") as target:
        YAML(typ="safe", pure=True).dump(tree, target)
    return path


def test_an_override_changes_the_value_and_says_so_in_the_source() -> None:
    accelerator = build_accelerator("dense", overrides=["core.array_rows=64"])
    rows = accelerator.hardware.core.array_rows
    assert rows.value == 64
    assert rows.source.startswith("--set core.array_rows=64 (was: Focus artifact")
    assert build_accelerator("dense").hardware.core.array_rows.value == 32


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("core.aray_rows=64", "did you mean 'array_rows'"),
        ("core.array_rows=0", "core.array_rows.value"),
        ("core.array_rows=-3", "greater than 0"),
        ("core.array_rows=many", "valid integer"),
        ("core.array_rows", "expected field=value"),
        ("clock=.nan", "clock.value"),
        ("components.fp16_exp.active_with=sfv", "'sfu' or 'preprocess'"),
    ],
)
def test_a_wrong_override_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_accelerator("dense", overrides=[override])


def test_an_unknown_accelerator_gets_near_matches() -> None:
    with pytest.raises(ConfigError, match="did you mean 'focus'"):
        build_accelerator("focux")


def test_a_number_without_a_source_is_refused(tmp_path: Path) -> None:
    tree = hardware_tree(ACCELERATORS.load("focus"))
    del tree["clock"]["source"]
    with pytest.raises(ConfigError, match=r"mine\.yaml: field 'clock': .*no source"):
        build_accelerator("focus", written(tmp_path, tree))


def test_a_bare_number_is_refused(tmp_path: Path) -> None:
    tree = hardware_tree(ACCELERATORS.load("focus"))
    tree["core"]["array_rows"] = 32
    with pytest.raises(ConfigError, match=r"'core\.array_rows': .*needs its unit and source"):
        build_accelerator("focus", written(tmp_path, tree))


def test_a_wrong_unit_is_refused(tmp_path: Path) -> None:
    tree = hardware_tree(ACCELERATORS.load("focus"))
    tree["clock"]["unit"] = "MHz"
    with pytest.raises(ConfigError, match=r"'clock\.unit'"):
        build_accelerator("focus", written(tmp_path, tree))


def test_an_unknown_field_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    tree = hardware_tree(ACCELERATORS.load("cmc"))
    tree["clok"] = tree["clock"]
    with pytest.raises(ConfigError, match="did you mean 'clock'"):
        build_accelerator("cmc", written(tmp_path, tree))


def test_a_file_for_another_accelerator_is_refused(tmp_path: Path) -> None:
    tree = hardware_tree(ACCELERATORS.load("dense"))
    with pytest.raises(ConfigError, match="field 'accelerator' is 'dense', expected 'focus'"):
        build_accelerator("focus", written(tmp_path, tree))


def test_a_buffer_that_needs_more_is_built_of_more_of_its_macros() -> None:
    def areas(*overrides: str) -> dict[str, float]:
        focus = build_accelerator("focus", overrides=list(overrides))
        return {cost.name: cost.area_mm2 for cost in buffer_costs(focus, "compiler")}

    fits = areas("tiles.m_tile=1024")
    # A row more needs another bank; five vectors a cycle ask for a port of 320 B, and 256 B of macros lie side by side.
    assert areas("tiles.m_tile=1025")["input"] == pytest.approx(1.5 * fits["input"])
    wide = areas("core.scatter_vectors=5")
    assert wide["output"] == pytest.approx(1.25 * fits["output"])
    assert wide["concentrate_out"] == pytest.approx(2.5 * fits["concentrate_out"])
    assert areas("core.scatter_vectors=1") == fits


def test_element_bytes_is_refused_with_what_to_write(tmp_path: Path) -> None:
    tree = hardware_tree(ACCELERATORS.load("focus"))
    tree["element_bytes"] = {"value": 2, "unit": "B", "source": "an older version"}
    with pytest.raises(
        ConfigError, match=r"mine.yaml: element_bytes is no field.*precision: a format for each operand"
    ):
        build_accelerator("focus", written(tmp_path, tree))


def test_an_unknown_macro_gets_near_matches() -> None:
    tree = "buffers.input.macros=[{macro: 1024x12, parallel: 4, banks: 2}]"
    accelerator = build_accelerator("adaptiv", overrides=[tree])
    with pytest.raises(ConfigError, match="did you mean '1024x128'"):
        buffer_costs(accelerator, "compiler")


def test_macro_powers_are_the_published_ones() -> None:
    powers = {name: macro.power_mw(500e6) for name, macro in macro_table().macros.items()}
    assert powers == pytest.approx(
        {
            "1024x128": 4.13181,
            "2048x16": 0.823365,
            "1024x16": 0.727218,
            "512x128": 3.33477,
            "32x256": 2.09061,
            "512x16": 0.629856,
        },
        rel=1e-12,
    )


def test_another_loop_order_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"'dataflow.loop_order': Input should be 'm,n,k,column', got 'n,m,k,"
    ):
        build_accelerator("focus", overrides=["dataflow.loop_order=n,m,k,column"])


def test_macros_without_a_source_are_refused() -> None:
    with pytest.raises(ConfigError, match="buffer 'input': its macros have no source"):
        buffer_costs(build_accelerator("dense", overrides=["buffers.input.source=''"]), "compiler")
