"""Does Focus ask for the published buffers, and do runs priced by CACTI give the published energies?"""

import csv

import pytest

from focal_simulator.accelerators.presets import build_accelerator
from focal_simulator.costs.buffer_costs import BufferCost, buffer_costs
from focal_simulator.engine.parity.level import simulate
from simulator_support import DATA, published_table, published_workloads

with (DATA / "simulator" / "cacti_buffers.csv").open(encoding="utf-8") as source:
    BUFFERS = list(csv.DictReader(source))

CONFIGURATIONS = {
    "SEC_512": ("focus_sec_only", []),
    # Published though its concentrate buffer takes 2.44 ns of a cycle of 2.
    "m_-1": ("focus", ["tiles.m_tile=11648", "timing.allow_beyond=true"]),
    **{f"m_{rows}": ("focus", [f"tiles.m_tile={rows}"]) for rows in (4096, 2048, 512, 128, 32)},
    "scatter2_1024": ("focus", []),
    **{f"scatter{count}": ("focus", [f"core.scatter_vectors={count}"]) for count in (1, 3, 4, 5)},
}


def buffers_of(configuration: str) -> list[dict[str, str]]:
    return [row for row in BUFFERS if row["configuration"] == configuration]


def costs_of(configuration: str) -> tuple[BufferCost, ...]:
    """Costs as CACTI reported them, all copies together."""
    return tuple(
        BufferCost(
            name=row["buffer"],
            capacity_bytes=int(row["size_bytes"]) * int(row["copies"]),
            area_mm2=float(row["area_mm2"]),
            static_mw=float(row["leakage_mw"]),
            read_pj_per_byte=float(row["read_pj_per_byte"]),
            write_pj_per_byte=float(row["write_pj_per_byte"]),
        )
        for row in buffers_of(configuration)
    )


@pytest.mark.golden
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_buffer_sizes_ports_and_copies_are_the_published_ones(configuration: str) -> None:
    name, overrides = CONFIGURATIONS[configuration]
    needs = build_accelerator(name, overrides=overrides).buffers()
    rows = buffers_of(configuration)
    assert len(rows) == 7
    assert {
        (need.name, need.size_bytes, need.port_bytes, need.copies, need.extra_read_ports) for need in needs
    } == {
        (
            row["buffer"],
            int(row["size_bytes"]),
            int(row["port_bytes"]),
            int(row["copies"]),
            int(row["extra_read_ports"]),
        )
        for row in rows
    }


@pytest.mark.golden
@pytest.mark.parametrize(
    "row",
    [row for row in published_table("rows.csv") if row["run"] == "focus_sec_only"],
    ids=lambda row: f"{row['model']}-{row['dataset']}",
)
def test_sec_only_energy_with_cacti_buffers_equals_the_published_one(row: dict[str, str]) -> None:
    accelerator = build_accelerator("focus_sec_only")
    workload = published_workloads()[row["model"], row["dataset"]]
    result = simulate(accelerator, workload, "cacti", costs_of("SEC_512"))
    assert result.sram_mj == pytest.approx(float(row["sram_energy"]), rel=1e-12)
    assert result.total_mj == pytest.approx(float(row["total_energy"]), rel=1e-12)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "compiler"),
        (["tiles.m_tile=512"], "cacti"),
        (["core.scatter_vectors=3"], "cacti"),
        (["core.gather_block=6"], "compiler"),
    ],
)
def test_the_buffer_model_follows_tile_and_scatter_width(overrides: list[str], expected: str) -> None:
    assert build_accelerator("focus", overrides=overrides).sram_model() == expected
    assert build_accelerator("focus_sec_only").sram_model() == "cacti"
    assert build_accelerator("dense", overrides=["tiles.m_tile=512"]).sram_model() == "compiler"


@pytest.mark.golden
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_the_packaged_sram_table_prices_them_as_cacti_did(configuration: str) -> None:
    name, overrides = CONFIGURATIONS[configuration]
    ours = {cost.name: cost for cost in buffer_costs(build_accelerator(name, overrides=overrides), "cacti")}
    for cost in costs_of(configuration):
        found = ours[cost.name]
        assert found.source == "cacti"
        for field in ("capacity_bytes", "area_mm2", "static_mw", "read_pj_per_byte", "write_pj_per_byte"):
            assert getattr(found, field) == pytest.approx(getattr(cost, field), rel=1e-14), (cost.name, field)
