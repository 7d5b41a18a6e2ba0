"""Does the committed page of corrections say what the engine gives now?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from focal.studies.published.corrections import CorrectionRuns
from focal_common.errors import ConfigError
from focal_simulator.accelerators.corrections import ALL, CORRECTIONS, parse_corrections
from simulator_support import PUBLISHED_ROOT

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "corrections.md").read_text(encoding="utf-8")
TABLES = REPOSITORY / "example_output" / "corrections"


def test_the_committed_lines_are_those_of_a_run() -> None:
    runs = CorrectionRuns(PUBLISHED_ROOT)
    table = pd.read_csv(TABLES / "corrections.csv").set_index(["kind", "corrections"])
    settings: dict[str, frozenset[str] | None] = {"parity": None, "none": frozenset(), "all": ALL}
    for label, corrections in settings.items():
        assert table.loc[("alone", label)].to_dict() == pytest.approx(runs.headline(corrections), rel=1e-8), (
            "run: focal reproduce corrections --output example_output/corrections"
        )
    committed = pd.read_csv(TABLES / "workloads.csv").to_dict("records")
    for found, row in zip(runs.workload_rows(), committed, strict=True):
        for name, value in found.items():
            assert row[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-8))


def test_the_page_has_every_line_of_the_tables() -> None:
    for row in pd.read_csv(TABLES / "corrections.csv").itertuples(index=False):
        assert f"| {' | '.join(f'{value:.3f}' for value in row[2:])} |" in PAGE, row
    for row in pd.read_csv(TABLES / "workloads.csv").itertuples(index=False):
        assert f"| {row.workload} | {row.accelerator} | {row.parity_cycles / 1e6:,.1f} |" in PAGE
        assert f"| {row.parity_mj:,.0f} | {row.all_mj:,.0f} |" in PAGE


def test_every_switch_is_listed() -> None:
    for item in CORRECTIONS:
        assert f"| `{item.name}` |" in PAGE


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", ALL),
        ("none", frozenset()),
        ("-dram_stalls", ALL - {"dram_stalls"}),
        ("all,-dram_stalls", ALL - {"dram_stalls"}),
        ("dram_stalls, tile_lengths", {"dram_stalls", "tile_lengths"}),
    ],
)
def test_word_lists(text: str, names: frozenset[str]) -> None:
    assert parse_corrections(text) == names


def test_a_typo_is_one_sentence_with_a_near_match() -> None:
    with pytest.raises(ConfigError, match="dram_stall': did you mean 'dram_stalls'"):
        parse_corrections("all,-dram_stall")


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected all, none, or names"):
        parse_corrections("")
