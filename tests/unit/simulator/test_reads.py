"""Are results remembered for exactly the designs that what was read cannot tell apart?"""

import contextlib
from typing import Any

import pytest

from focal_common.errors import RunError, UnsupportedError
from focal_simulator.accelerators.focus import Focus
from focal_simulator.hardware_files import build_accelerator
from focal_simulator.reads import ReadMemo, Watched, plain
from focal_simulator.series import defined_together

FIELDS = ("core.array_rows", "core.array_columns", "tiles.n_tile", "components.fp16_mul.power", "dram_system")


def hardware(**values: Any) -> Any:
    words = [f"{name.replace('__', '.')}={value}" for name, value in values.items()]
    return build_accelerator("focus", None, words).hardware


def settings(node: Any) -> dict[str, Any]:
    return {
        "core.array_rows": node.core.array_rows.value,
        "core.array_columns": node.core.array_columns.value,
        "tiles.n_tile": node.tiles.n_tile.value,
        "components.fp16_mul.power": node.components["fp16_mul"].power.value,
        "dram_system": node.dram_system,
    }


def area_if_tall(node: Any) -> int:
    """Reads the columns of tall arrays only."""
    rows = node.core.array_rows.value
    return rows * node.core.array_columns.value if rows > 16 else rows


class Counter:
    def __init__(self, function: Any) -> None:
        self.function, self.calls = function, 0

    def __call__(self, node: Any) -> Any:
        self.calls += 1
        return self.function(node)


def test_a_field_counts_only_where_it_was_read() -> None:
    memo, counter = ReadMemo(FIELDS), Counter(area_if_tall)
    designs = [
        hardware(core__array_rows=rows, core__array_columns=columns, tiles__n_tile=tile)
        for rows in (16, 32)
        for columns in (16, 32)
        for tile in (64, 96)
    ]
    found = [memo.result(one, settings(one), counter) for one in designs]
    assert found == [area_if_tall(one) for one in designs]
    assert counter.calls == 3


def test_what_is_handed_out_whole_counts_as_read() -> None:
    memo, counter = ReadMemo(FIELDS), Counter(lambda node: tuple(node.components.values()))
    powers = []
    for power in (1.0, 2.0, 1.0):
        design = hardware(components__fp16_mul__power=power)
        parts = memo.result(design, settings(design), counter)
        assert not any(isinstance(part, Watched) for part in parts)
        powers += [part.power.value for part in parts if part == design.components["fp16_mul"]]
    assert powers == [1.0, 2.0, 1.0]
    assert counter.calls == 2


@pytest.mark.parametrize(
    "use", [lambda node: node.core.model_dump(), lambda node: node.core == node.core, hash]
)
def test_any_other_use_of_a_node_reads_all_below(use: Any) -> None:
    read: list[str] = []
    node = Watched(
        hardware(),
        {"core": {"array_rows": "core.array_rows", "array_columns": "core.array_columns"}},
        read.append,
    )
    with contextlib.suppress(TypeError):
        use(node)
    assert set(read) == {"core.array_rows", "core.array_columns"}


def test_reads_of_an_inner_memo_are_told_to_the_outer_one() -> None:
    inner, outer = ReadMemo(FIELDS), ReadMemo(FIELDS)

    def both(design: Any) -> int:
        def compute(watched: Any) -> int:
            part = inner.result(
                design, settings(design), lambda node: node.core.array_rows.value, watched.note
            )
            return part * int(watched.tiles.n_tile.value)

        return outer.result(design, settings(design), compute)

    # The inner result of the second design is known; its read must still tell the third apart.
    cases = [(32, 96), (32, 64), (16, 64), (16, 96)]
    found = [both(hardware(core__array_rows=rows, tiles__n_tile=tile)) for rows, tile in cases]
    assert found == [rows * tile for rows, tile in cases]


def test_refusals_are_remembered_but_not_faults_of_the_machine() -> None:
    def refuse(kind: type[Exception]) -> Any:
        def function(node: Any) -> None:
            raise kind(f"{node.core.array_rows.value} rows")

        return Counter(function)

    design = hardware()
    for kind, calls in ((UnsupportedError, 1), (RunError, 2)):
        memo, counter = ReadMemo(FIELDS), refuse(kind)
        for _ in range(2):
            with pytest.raises(kind, match="32 rows"):
                memo.result(design, settings(design), counter)
        assert counter.calls == calls


def test_state_between_designs_is_refused() -> None:
    memo, turns = ReadMemo(FIELDS), [0]

    def shifty(node: Any) -> int:
        turns[0] += 1
        return int((node.core.array_rows if turns[0] % 2 else node.core.array_columns).value)

    first, second = hardware(core__array_rows=16), hardware(core__array_rows=32)
    memo.result(first, settings(first), shifty)
    with pytest.raises(RunError, match="must not keep anything between designs"):
        memo.result(second, settings(second), shifty)


def test_numbers_of_different_types_are_different_values() -> None:
    memo = ReadMemo(("flag",))
    values = [
        memo.result({"flag": one}, {"flag": one}, lambda node: repr(plain(node["flag"])))
        for one in (1, 1.0, True)
    ]
    assert values == ["1", "1.0", "True"]


def test_a_class_that_changes_jobs_alone_is_not_timed_by_groups() -> None:
    class Other(Focus):
        def jobs(self, workload: Any, context: Any) -> list[Any]:
            return []

    assert defined_together(Focus, "jobs", "placed_groups")
    assert not defined_together(Other, "jobs", "placed_groups")
