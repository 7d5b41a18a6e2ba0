"""Does the committed page of corrections say what the engine gives now?"""

from __future__ import annotations

from pathlib import Path

import pytest

from focal_common.errors import ConfigError
from focal_evaluation.corrections_page import Runs, Setting
from focal_simulator.cycle.corrections import ALL, CORRECTIONS, parse_corrections
from simulator_support import PUBLISHED_ROOT

PAGE = (Path(__file__).parents[3] / "docs" / "corrections.md").read_text(encoding="utf-8")


def test_first_and_last_lines_of_the_table_are_those_of_a_run() -> None:
    runs = Runs(PUBLISHED_ROOT)
    for label, corrections in (
        ("published simulator (`parity`)", None),
        ("none", frozenset[str]()),
        ("all", ALL),
    ):
        cells = " | ".join(f"{value:.3f}" for value in runs.headline(Setting(label, corrections)))
        assert f"| {label} | {cells} |" in PAGE, (
            "run: focal reproduce corrections --output docs/corrections.md"
        )


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
