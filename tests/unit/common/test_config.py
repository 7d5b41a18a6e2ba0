"""Does strict configuration refuse what a user could mistype, and say where?"""

from pathlib import Path

import pytest

from focal_common.config import StrictModel, apply_overrides, validated
from focal_common.errors import ConfigError
from focal_common.reading.yaml_files import parse_yaml, read_yaml


class Core(StrictModel):
    array_rows: int
    clock_hz: float = 5e8


class Machine(StrictModel):
    core: Core
    name: str = "x"


def test_a_valid_tree_becomes_a_frozen_value() -> None:
    machine = validated(Machine, {"core": {"array_rows": 32}}, "m.yaml")
    assert machine.core.array_rows == 32
    assert machine == validated(Machine, {"core": {"array_rows": 32}}, "other.yaml")
    assert hash(machine) == hash(validated(Machine, {"core": {"array_rows": 32}}, "m.yaml"))


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"core": {"array_row": 1}}, r"m.yaml: unknown field 'core.array_row'; did you mean 'array_rows'"),
        ({"core": {"array_rows": "many"}}, r"m.yaml: field 'core.array_rows': .*got 'many'"),
        ({"core": {}}, r"m.yaml: field 'core.array_rows': Field required"),
        ({"core": {"array_rows": 1, "clock_hz": float("nan")}}, r"field 'core.clock_hz'.*finite"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(tree: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validated(Machine, tree, "m.yaml")


def test_overrides_reach_nested_fields_and_leave_the_preset_alone() -> None:
    preset = {"core": {"array_rows": 32}}
    assert apply_overrides(preset, ["core.array_rows=64"], "focus") == {"core": {"array_rows": 64}}
    assert preset == {"core": {"array_rows": 32}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("core.array_rowz=1", r"focus: field 'core' has no field 'array_rowz'; did you mean 'array_rows'"),
        ("cores.array_rows=1", r"focus has no field 'cores'; did you mean 'core'"),
        ("core.array_rows", r"expected field=value"),
        ("core.array_rows=[1", r"not valid YAML"),
    ],
)
def test_a_wrong_override_is_one_sentence(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        apply_overrides({"core": {"array_rows": 32}}, [override], "focus")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "line 2: not valid YAML"),
        ("- 1\n", "expected a mapping"),
        ("a: [1\n", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_unsafe_or_broken_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "f.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        read_yaml(tmp_path / "nowhere.yaml")
