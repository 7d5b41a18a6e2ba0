"""Does a calibrated recipe expand into sound counts, and is a wrong one refused?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from focal_common.errors import TraceError
from focal_traces.counts.trace import Trace
from focal_traces.files.store import open_trace
from focal_traces.root.root import TraceRoot
from focal_traces.synthetic.calibrated import CalibratedTrace, read_recipe, write_recipe
from focal_traces.synthetic.schedule import Schedule, tokens_per_gemm
from published_support import RECIPES, ROOT, recipe_id

EXAMPLE = ROOT / "focus_main" / "minicpm_v_mvbench.calibrated.json"


def test_every_published_run_has_its_stand_in() -> None:
    folders = [path.parent.name for path in RECIPES]
    assert {folder: folders.count(folder) for folder in folders} == {
        "block_size_dse": 9,
        "focus_int8": 9,
        "focus_main": 15,
        "m_tile_size_dse": 7,
        "vector_size_dse": 6,
    }


@pytest.mark.parametrize("path", RECIPES, ids=recipe_id)
def test_sums_without_tiles_equal_the_sums_over_tiles(path: Path) -> None:
    trace = CalibratedTrace(read_recipe(path))
    quick, summed = trace.totals(0), Trace.totals(trace, 0)
    for name in ("tokens", "vectors", "unique", "slices"):
        np.testing.assert_array_equal(getattr(quick, name), getattr(summed, name), err_msg=name)


@pytest.mark.parametrize("path", RECIPES[::5], ids=recipe_id)
def test_no_tile_holds_more_than_its_rows_or_its_size(path: Path) -> None:
    recipe = read_recipe(path)
    counts = recipe.expand()
    assert (counts.unique >= 0).all()
    assert (counts.unique <= counts.vectors).all()
    assert (counts.vectors <= counts.rows).all()
    assert counts.rows.max() <= (recipe.m_tile or recipe.visual_tokens)


def test_tokens_follow_the_schedule() -> None:
    recipe = read_recipe(ROOT / "focus_main" / "llava_vid_videomme.calibrated.json")
    tokens = recipe.totals().tokens
    np.testing.assert_array_equal(
        tokens, tokens_per_gemm(Schedule(recipe.selected_layers, recipe.alpha_list), 28, 11648)
    )
    # Paper example: 11648 tokens, 4659 from the MLP of block 3 on, 1164 at the end.
    assert tokens[3].tolist() == [11648, 11648, 11648, 4659, 4659]
    assert tokens[27].tolist() == [1164] * 5


def test_the_same_recipe_expands_to_the_same_counts() -> None:
    first, second = read_recipe(EXAMPLE).expand(), read_recipe(EXAMPLE).expand()
    np.testing.assert_array_equal(first.unique, second.unique)


def test_writing_a_recipe_gives_back_the_committed_bytes(tmp_path: Path) -> None:
    for path in RECIPES:
        write_recipe(read_recipe(path), tmp_path / path.name)
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path


def test_the_trace_says_that_nothing_was_measured() -> None:
    header = open_trace(EXAMPLE).header
    assert header.origin == "synthetic, calibrated"
    assert header.checkpoint == "none: no forward was run"


def test_a_measured_trace_wins_over_a_stand_in(tmp_path: Path) -> None:
    folder = tmp_path / "focus_main"
    folder.mkdir()
    shutil.copy(ROOT / "meta_data.csv", tmp_path)
    shutil.copy(EXAMPLE, folder)
    measured = folder / "minicpm_v_mvbench.counts.parquet"
    root = TraceRoot.open(tmp_path)
    assert root.trace_path("minicpm_v", "mvbench").name == EXAMPLE.name
    measured.write_bytes(b"PAR1")
    assert root.trace_path("minicpm_v", "mvbench") == measured


def _changed(tmp_path: Path, **fields: Any) -> Path:
    tree = json.loads(EXAMPLE.read_text(encoding="utf-8")) | fields
    path = tmp_path / EXAMPLE.name
    path.write_text(json.dumps(tree), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"origin": "measured"}, "origin"),
        ({"recipe_version": 2}, "recipe_version"),
        ({"unique_vectors": {"q_proj": [1] * 28}}, "unique_vectors.query: 0 layers, expected 28"),
        ({"alpha_list": [0.4]}, "alpha_list"),
        ({"visual_tokens": 10}, "expected at most"),
        ({"colour": 1}, "unknown field 'colour'"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_file_and_field(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    path = _changed(tmp_path, **fields)
    with pytest.raises(TraceError, match=message) as caught:
        open_trace(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / EXAMPLE.name
    path.write_text(EXAMPLE.read_text(encoding="utf-8")[:200], encoding="utf-8")
    with pytest.raises(TraceError, match="not JSON as expected"):
        open_trace(path)
