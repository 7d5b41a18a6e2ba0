"""Does the picture of an arena show the rows of its table, and refuse other tables?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from focal.studies.arena.figure import draw_arena, front, points, read_arena
from focal_common.errors import ConfigError

_ROWS = [
    ("dense", 1.0, "ok", "dense", 0.9, 1000.0, 4.0),
    ("focus", 0.5, "ok", "focus", 0.85, 500.0, 1.0),
    ("focus", 0.25, "nearest", "focus", 0.7, 300.0, 0.5),
    ("visionzip", 0.5, "ok", "focus_sec_only", 0.8, 500.0, 2.0),
    ("cmc", 0.5, "refused", None, None, None, None),
]


def table(folder: Path) -> Path:
    records = []
    for method, budget, status, own, accuracy, tokens, delay in _ROWS:
        record = {
            "model": "m",
            "benchmark": "shapes-pope",
            "method": method,
            "budget": budget,
            "status": status,
        }
        record |= {
            "own_accelerator": own,
            "accuracy_measured": accuracy,
            "equivalent_tokens_measured": tokens,
        }
        record |= {
            "low_measured": accuracy and accuracy - 0.02,
            "high_measured": accuracy and accuracy + 0.02,
        }
        records.append(record | ({f"energy_delay_mj_s_simulated_{own}": delay} if own else {}))
    path = folder / "arena.csv"
    pd.DataFrame(records).to_csv(path, index=False)
    return path


def test_points_take_the_delay_of_the_own_accelerator(tmp_path: Path) -> None:
    found = points(read_arena(table(tmp_path)))
    assert found[["method", "tokens", "delay"]].to_numpy().tolist() == [
        ["dense", 1000.0, 4.0],
        ["focus", 500.0, 1.0],
        ["focus", 300.0, 0.5],
        ["visionzip", 500.0, 2.0],
    ]


@pytest.mark.parametrize("cost", ["tokens", "delay"])
def test_front_holds_exactly_what_nothing_beats(tmp_path: Path, cost: str) -> None:
    found = points(read_arena(table(tmp_path)))
    best = set(front(found, cost).index)
    for index, row in found.iterrows():
        others = found.drop(index)
        beaten = (others[cost] <= row[cost]) & (others["accuracy"] >= row["accuracy"])
        assert (index in best) != bool(beaten.any())


def test_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    path = table(tmp_path)
    first = [one.read_bytes() for one in draw_arena(path, tmp_path / "a")]
    assert first == [one.read_bytes() for one in draw_arena(path, tmp_path / "b")]
    frame = pd.read_csv(path)
    frame[["accuracy_measured", "low_measured", "high_measured"]] *= 0.9
    frame.to_csv(path, index=False)
    assert first[1] != draw_arena(path, tmp_path / "c")[1].read_bytes()


def test_other_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "arena.csv"
    with pytest.raises(ConfigError, match=r"expected arena\.csv of"):
        read_arena(path)
    path.write_text("model,method\na,b\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="column 'benchmark' is missing"):
        read_arena(path)
    frame = pd.read_csv(table(tmp_path))
    frame[frame["status"] == "refused"].to_csv(path, index=False)
    with pytest.raises(ConfigError, match="no row has an accuracy"):
        read_arena(path)
