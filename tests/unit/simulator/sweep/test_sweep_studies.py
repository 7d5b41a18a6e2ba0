"""Is a study read strictly, and does each kind choose the points it says?"""

import json
from pathlib import Path
from typing import Any

import pytest

from focal_common.errors import ConfigError
from focal_simulator.sweep.axes import BASE, Axis, Space, ValueRange
from focal_simulator.sweep.run import prepare
from focal_simulator.sweep.sampling import chosen_points, grid, one_at_a_time, quasi_random
from focal_simulator.sweep.study import Sampling, preset_names, read_study
from simulator_support import PUBLISHED_ROOT
from sweep_support import AXES, grid_study, request_for, with_stand_in

AXIS = {"field": "core.scatter_vectors", "values": [1, 2]}


def named(name: str, *labels: str) -> dict[str, Any]:
    """An axis of choices over the n-tile."""
    choices = [{"label": label, "set": {"tiles.n_tile": 64 + 32 * k}} for k, label in enumerate(labels)]
    return {"name": name, "choices": choices}


@pytest.mark.parametrize("name", preset_names())
def test_every_packaged_study_is_whole(name: str, tmp_path: Path) -> None:
    study, _ = read_study(name)
    assert study.name == name
    if study.traces.provider == "measure":
        study = with_stand_in(study)
    plan, _ = prepare(request_for(study, tmp_path / "out", PUBLISHED_ROOT))
    assert plan.space.size > 1 or name == "joint_focus_dense"
    assert plan.provider().traced({}).workloads


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": []}, "unknown field 'axis'; did you mean 'axes'"),
        ({"axes": [{"field": "a", "valuesx": [1]}]}, "did you mean 'values'"),
        ({"axes": []}, "study.yaml: axes is empty; expected at least one axis"),
        (
            {"axes": [{"field": "core.scatter_vectors", "values": []}]},
            "field 'axes.0': axis 'core.scatter_vectors' is empty; expected at least one value",
        ),
        ({"axes": [{"field": "core.scatter_vectors", "values": [1, 1.0]}]}, "holds a value twice"),
        ({"axes": [named("x", "a", "b", "a")]}, "axis 'x' has two choices labelled 'a'"),
        (
            {"axes": [named("core.scatter_vectors", "a"), AXIS]},
            "axis 'core.scatter_vectors' has the name of a field that an axis sets",
        ),
        ({"axes": [named("tiles.n_tile", "a")]}, "has the name of a field that an axis sets"),
        ({"axes": [AXIS, AXIS]}, "both set the field 'core.scatter_vectors'"),
        ({"axes": [{"field": "core.scatter_vectors", "values": [1, 1]}]}, "holds a value twice"),
        (
            {"axes": [{"field": "a", "range": {"start": 4, "stop": 1, "step": 1}}]},
            "stop (1) lies below start (4)",
        ),
        (
            {"axes": [{"field": "tiles.n_tile", "range": {"start": 1, "stop": 1e9, "step": 1}}]},
            "the range from 1 to 1000000000.0 has more than 10,000 values; expected a larger step",
        ),
        ({"axes": [{"name": "a", "values": [1]}]}, "needs exactly one of: choices"),
        ({"constraints": [{"metric": "area_mm2", "at_most": 1, "at_least": 2}]}, "contradicts itself"),
        ({"objectives": [{"metric": "seconds", "goal": "less"}]}, "'minimize' or 'maximize'"),
    ],
)
def test_a_wrong_study_is_one_sentence(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    content = {"name": "n", "kind": "grid", "axes": [AXIS]} | changes
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_study(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "Value error" not in str(error.value)
    # No dump of the study.
    assert "{" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "gridx"}, "did you mean 'grid'"),
        ({"fidelity": "parityy"}, "did you mean 'parity'"),
        ({"accelerator": "focux"}, "did you mean 'focus'"),
        ({"axes": [{"field": "core.scater_vectors", "values": [1]}]}, "did you mean 'scatter_vectors'"),
        ({"axes": [{"field": "core.scatter_vectors", "values": [0]}]}, "greater than 0"),
        ({"axes": [{"field": "core.scatter_vectors", "values": ["two"]}]}, "valid integer"),
        ({"axes": [{"field": "sram.modelx", "values": ["cacti"]}]}, "did you mean 'sram.model'"),
        ({"axes": [{"field": "method.m_tile", "values": [32]}]}, "unknown method parameter 'm_tile'"),
        *(
            (
                {"axes": [named(name, "a", "b")]},
                f"axes: '{name}' is a column of the results; expected another",
            )
            for name in ("index", "status", "reason", "configuration_sha256", "origin")
        ),
        ({"axes": [named("seconds", "a", "b")]}, "axes: 'seconds' is a metric of the results"),
        (
            {"axes": [named("fill_drain_cycles", "a")], "fidelity": "cycle"},
            "axes: 'fill_drain_cycles' is a metric",
        ),
        ({"axes": [{"field": "accelerator", "values": ["focus"]}]}, "axes: 'accelerator' is a column"),
        ({"axes": [named("llava_vid/mlvu:seconds", "a")]}, "holds ':'"),
        (
            {"axes": [{"field": "dram_system", "values": ["ddr4_4ch_interleavd"]}], "fidelity": "cycle"},
            "dram_system=ddr4_4ch_interleavd: unknown memory preset 'ddr4_4ch_interleavd'; did you mean",
        ),
        ({"overrides": {"dram_system": "ddr4_4ch_interleavd"}, "fidelity": "cycle"}, "unknown memory preset"),
        ({"axes": [{"field": "sram_node", "values": [0.028, 0.5]}]}, "SRAM node_um 0.5 is not in the table"),
        (
            {"overrides": {"sram_node": 0.5}},
            "the base design (dram_system and sram_node): SRAM node_um 0.5 is not in the table",
        ),
        (
            {"kind": "quasi_random", "sampling": {"points": 25}},
            "sampling.points is 25, but the axes have only 24 points",
        ),
        (
            {"axes": [{"field": "tiles.m_tile", "values": [1024, 512]}], "fidelity": "cycle"},
            "axis 'tiles.m_tile', {\"tiles.m_tile\": 512}: llava_vid/mvbench: the trace was recorded with an m-tile "
            "of 1024, the hardware has 512; expected a multiple",
        ),
        ({"objectives": [{"metric": "second"}]}, "did you mean 'seconds'"),
        ({"constraints": [{"metric": "accuracy", "at_least": 1}]}, "unknown metric 'accuracy'"),
        (
            {"axes": [{"field": "core.scatter_vectors", "values": [True]}]},
            "=true: expected a value such as 2",
        ),
        ({"overrides": {"tiles.k_tile": True}}, "=true: expected a value such as 32"),
        (
            {"overrides": {"method.selected_layers": [5, 3]}},
            "overrides: 'method.selected_layers' is a parameter of the method, not of the hardware; set it on an axis",
        ),
        ({"overrides": {"sram.model": "cacti"}}, "overrides: 'sram.model' is the field 'sram' of the study"),
        (
            {"overrides": {"core.scatter_vectors": 3}},
            "overrides: 'core.scatter_vectors' has no effect, because an axis sets it at every point of kind grid",
        ),
        ({"overrides": {"tiles.m_til": 3}}, "did you mean 'm_tile'"),
        ({"traces": {"provider": "existingx"}}, "did you mean 'existing'"),
        ({"traces": {"options": {"folder": "a", "variant": "b", "variantx": 1}}}, "did you mean 'variant'"),
    ],
)
def test_a_study_that_names_nothing_real_is_refused_before_it_runs(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        prepare(request_for(grid_study(**changes), tmp_path / "out"))
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("selected_layers", [3, 9, 6], "must ascend"),
        ("alpha_list", [0.4, 0.5], "must not ascend"),
        ("alpha_list", 0.4, "expected a list"),
    ],
)
def test_a_schedule_out_of_order_is_refused(field: str, value: object, message: str, tmp_path: Path) -> None:
    options = {"provider": "command", "options": {"command": ["false"]}}
    study = grid_study(traces=options, axes=[{"field": f"method.{field}", "values": [value]}])
    with pytest.raises(ConfigError, match=message):
        prepare(request_for(study, tmp_path / "out"))


def test_an_override_of_a_varied_field_moves_the_base_design_where_there_is_one(tmp_path: Path) -> None:
    for changes in ({"kind": "one_at_a_time"}, {"include_base": True}):
        study = grid_study(overrides={"core.scatter_vectors": 3}, **changes)
        plan, _ = prepare(request_for(study, tmp_path / "out"))
        assert plan.space.base["core.scatter_vectors"] == 3


def space() -> Space:
    axes = tuple(Axis.model_validate(axis) for axis in AXES)
    base = {"core.scatter_vectors": 2, "tiles.n_tile": 96, "core.array_rows": 32, "core.array_columns": 32}
    return Space(axes, base)


def test_ranges_hold_both_ends() -> None:
    assert ValueRange(start=1, stop=5, step=2).values() == (1, 3, 5)
    assert ValueRange(start=0.1, stop=0.3, step=0.1).values()[-1] == pytest.approx(0.3)
    assert ValueRange(start=64, stop=1000, times=2).values() == (64, 128, 256, 512)
    assert len(ValueRange(start=1, stop=10_000, step=1).values()) == 10_000


def test_one_at_a_time_leaves_the_other_axes_at_the_base_and_counts_the_base_once() -> None:
    points = chosen_points(space(), one_at_a_time(space(), Sampling()), include_base=True)
    # 4 + 3 + 2 values, of which each axis holds the base value once.
    assert len(points) == 1 + 3 + 2 + 1
    assert points[0].choices == (BASE, BASE, BASE)
    assert [point.index for point in points] == list(range(len(points)))


def test_the_grid_is_the_whole_product() -> None:
    found = list(grid(space(), Sampling()))
    assert len(found) == len(set(found)) == space().size == 24


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_quasi_random_points_are_distinct_repeatable_and_spread(sequence: str) -> None:
    sampling = Sampling.model_validate({"points": 12, "seed": 3, "sequence": sequence})
    found = list(quasi_random(space(), sampling))
    assert found == list(quasi_random(space(), sampling))
    assert len(set(found)) == 12
    for place, axis in enumerate(space().axes):
        assert {one[place] for one in found} == set(range(len(axis.settings)))
    with pytest.raises(ConfigError, match="only 24 points"):
        list(quasi_random(space(), Sampling(points=25)))
