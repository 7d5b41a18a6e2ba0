"""Is the table with one row a method what its rows say, and does the page of a study say what its tables hold?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from focal.studies.arena.engine_page import write_engine_page
from focal.studies.arena.rows import KIND_COLUMNS, arena_columns
from focal.studies.arena.study import study_settings
from focal.studies.arena.table import arena_lines, table_cells
from focal.studies.tables import write_table
from focal_common.errors import ConfigError

KNOWN = {
    "models": "",
    "methods": "all",
    "budgets": "",
    "match": "",
    "tasks": "",
    "questions": 1,
    "traced": 1,
    "seed": 0,
}


def row(method: str, accelerator: str, cycles: float | None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(arena_columns(("dense", "focus", "focus_sec_only")))
    found |= {"model": "m", "benchmark": "b", "method": method, "budget": 0.25, "status": "ok", "reason": ""}
    found |= {"questions": 1000, "accuracy_measured": 0.75, "low_measured": 0.7, "high_measured": 0.8}
    found |= {"visual_tokens": 16.0, "equivalent_tokens_measured": 4.0, "present_tokens_measured": 5.0}
    found |= {"unparsable_measured": 0, "own_accelerator": accelerator}
    if cycles is not None:
        found |= {
            f"cycles_simulated_{accelerator}": cycles,
            f"energy_mj_simulated_{accelerator}": cycles / 100,
        }
        found |= {
            f"area_mm2_simulated_{accelerator}": 3.0,
            f"energy_delay_mj_s_simulated_{accelerator}": cycles,
        }
    minus = ("against_dense_measured", "against_dense_low_measured", "against_dense_high_measured")
    return found | dict(zip(minus, (-0.1, -0.15, -0.05), strict=True)) | more


def rows() -> list[dict[str, Any]]:
    refused = dict.fromkeys(("accuracy_measured", "low_measured", "high_measured", "questions"))
    none = dict.fromkeys(
        ("against_dense_measured", "against_dense_low_measured", "against_dense_high_measured")
    )
    return [
        row("dense", "dense", 1000.0, budget=1.0, **none),
        row("dart_edge", "focus_sec_only", 250.0),
        row("focus", "focus", 500.0, status="nearest", reason="too coarse", accuracy_measured=0.78),
        row("cmc", "focus_sec_only", None, status="refused", reason="no video", **refused, **none),
    ]


def test_a_line_holds_the_figures_of_the_own_accelerator_over_the_dense_method_on_the_dense_array() -> None:
    lines = {line["method"]: line for line in arena_lines(rows())}
    assert (lines["dart_edge"]["speedup_over_dense"], lines["dart_edge"]["energy_over_dense"]) == (4.0, 0.25)
    assert (lines["focus"]["speedup_over_dense"], lines["focus"]["area_mm2"]) == (2.0, 3.0)
    assert lines["cmc"]["cycles"] is None
    headings, cells = table_cells(lines.values())
    table = {cell[0]: dict(zip(headings, cell, strict=True)) for cell in cells}
    assert table["dart_edge"]["speed-up"] == "4.00 x"
    assert table["dart_edge"]["kept tokens"] == "5"
    assert table["dart_edge"]["minus dense"] == "-10.0"
    assert table["cmc"]["status"] == "refused"
    assert not table["cmc"]["cycles"]
    assert "no answer" not in headings  # of which nothing is known
    other = [one | {"benchmark": "other"} for one in rows()[1:]]
    assert all(line["speedup_over_dense"] is None for line in arena_lines([*rows()[:1], *other])[1:])


def test_the_page_of_a_study_says_what_its_tables_hold(tmp_path: Path) -> None:
    kinds = [
        {"model": "m", "benchmark": "b", "method": "dart_edge", "budget": 0.25, "status": "ok", "kind": kind}
        | {"questions": asked, "accuracy_measured": share}
        for kind, asked, share in (
            ("count", 10, 0.9),
            ("count, second turn", 10, 0.4),
            ("color", 10, 1.0),
            ("shape", 30, 0.6),
            ("shape, second turn", 30, 0.5),
        )
    ]
    plan = {
        "budgets": [0.25],
        "traced": 2,
        "models": ["m"],
        "benchmarks": ["b"],
        "questions": 200,
        "methods": ["dense", "dart_edge"],
    }
    write_table(tmp_path / "in" / "arena.csv", rows())
    write_table(tmp_path / "in" / "kinds.csv", kinds, KIND_COLUMNS)
    (tmp_path / "in" / "arena.json").write_text(json.dumps({"configuration": plan}), encoding="utf-8")
    page, *files = write_engine_page([tmp_path / "in"], tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert (
        "At 25.0 % `dart_edge` (TensorRT Edge-LLM) takes 0.25 of the dense cycles and 0.25 of the energy"
        in text
    )
    assert "accuracy minus dense -10.0 points (-15.0 to -5.0)" in text
    assert "Most accurate of those that meet the budget: At 25.0 % `dart_edge`" in text
    assert "| `dart_edge` | 0.25 | 90.0 | 40.0 | 70.0 | 50.0 |" in text
    assert "- `cmc`, refused: no video" in text
    assert {path.name for path in files} == {"arena.csv", "kinds.csv", "arena.json", "arena.pdf", "arena.png"}
    assert "fall most: `dart_edge` at 25.0 % from 74.0 to 47.5 %." in text
    assert "Too few" not in text
    assert "--methods dart_edge --output out/m_more" in text
    write_table(tmp_path / "more" / "arena.csv", [row("dart_edge", "focus_sec_only", 500.0)])
    write_table(tmp_path / "more" / "kinds.csv", kinds[:2], KIND_COLUMNS)
    (tmp_path / "more" / "arena.json").write_text(json.dumps({"configuration": plan}), encoding="utf-8")
    later, *_ = write_engine_page([tmp_path / "in", tmp_path / "more"], tmp_path / "out2")
    assert "`dart_edge` (TensorRT Edge-LLM) takes 0.50 of the dense cycles" in later.read_text(
        encoding="utf-8"
    )
    assert "takes 0.25 of" not in later.read_text(encoding="utf-8")
    again, *_ = write_engine_page([tmp_path / "out" / "engine_pruning"], tmp_path / "again")
    assert again.read_text(encoding="utf-8") == text
    (tmp_path / "in" / "kinds.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected 'focal arena'"):
        write_engine_page([tmp_path / "in"], tmp_path / "out")


def test_a_study_is_options_by_name_and_nothing_else(tmp_path: Path) -> None:
    found = study_settings("engine_pruning", KNOWN)
    assert found["questions"] >= 1000
    assert found["budgets"] == "0.333,0.222,0.111"
    path = tmp_path / "own.yaml"
    for text, sentence in (
        ("question: 3", "unknown field 'question'; did you mean 'questions'"),
        ("questions: many", "own.yaml: questions: expected a whole number, got 'many'"),
        ("budgets: 3", "own.yaml: budgets: expected words or a list, got 3"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=sentence):
            study_settings(str(path), KNOWN)
    with pytest.raises(ConfigError, match="no study file and no study 'engine_prunin'; did you mean"):
        study_settings("engine_prunin", KNOWN)
