"""Does the table of the joint study call a point better only where its answers say so?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from focal.studies.joint.results import read_joint_study
from focal.studies.joint.study import joint_table, write_joint
from focal_common.errors import ConfigError
from focal_simulator.sweep.rows import write_table

QUESTIONS = 200
PICTURES = [f"clip-{place // 5}" for place in range(QUESTIONS)]


def right(share: float, luck: int = 0) -> list[bool]:
    """Answers to questions of fixed difficulty, so that those of two methods are paired."""
    difficulty = np.random.default_rng(3).random(QUESTIONS)
    noise = np.random.default_rng(luck).normal(0, 0.01, QUESTIONS)
    return [bool(one) for one in difficulty + noise < share]


METHODS = {
    "published": (0.7, 1.0),
    "dense": (0.9, 20.0),
    "later": (0.88, 4.0),
    "even": (0.71, 0.8),
    "poor": (0.6, 3.0),
}


def write_study(folder: Path, methods: dict[str, tuple[float, float]] = METHODS) -> Path:
    folder.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    answers = []
    for number, (method, (share, edp)) in enumerate(methods.items()):
        said = right(share, number)
        accuracy = 100 * sum(said) / QUESTIONS
        for scatter in (1, 2):
            rows.append(
                {
                    "index": len(rows),
                    "status": "ok",
                    "method": method,
                    "weights": "single",
                    "core.scatter_vectors": scatter,
                    "tiles.n_tile": 96,
                    "method.similarity_threshold": number / 10,
                    "accuracy": accuracy,
                    "accuracy_low": accuracy - 5,
                    "accuracy_high": accuracy + 5,
                    "questions": float(QUESTIONS),
                    "kept_tokens": 50.0,
                    "edp_mj_s": edp * (1 + 0.1 * (scatter == 1)),
                    "area_mm2": 3.0,
                }
            )
        answers += [
            {"method.similarity_threshold": number / 10, "picture": picture, "kind": "k", "right": one}
            for picture, one in zip(PICTURES, said, strict=True)
        ]
    write_table(pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False), folder / "results.parquet")
    write_table(pa.Table.from_pandas(pd.DataFrame(answers), preserve_index=False), folder / "answers.parquet")
    return folder


def test_a_point_is_better_only_where_interval_and_test_say_so(tmp_path: Path) -> None:
    table = joint_table(read_joint_study(write_study(tmp_path / "study"), None))
    front = table[table["role"] == "front"].set_index("method")
    # Dense is the most accurate, even the cheapest; published and poor are beaten in both.
    assert set(front.index) == {"dense", "later", "even"}
    assert front.loc["later", "published_verdict"] == "better"
    assert front.loc["later", "dense_verdict"] == "not told apart"
    assert front.loc["even", "published_verdict"] == "not told apart"
    assert front.loc["even", "dense_verdict"] == "worse"
    assert pd.isna(front.loc["dense", "dense_verdict"])
    assert set(table["role"]) == {
        "dense",
        "published",
        "front",
        "best: hardware",
        "best: method",
        "best: both",
    }
    assert table.loc[table["role"] == "published", "edp_gain"].item() == 1
    assert table.loc[table["role"] == "best: hardware", "designs"].item() == 2


def test_the_files_are_the_same_twice(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    first = [path.read_bytes() for path in write_joint(folder, None, tmp_path / "a")]
    assert len(first) == 2
    assert [path.read_bytes() for path in write_joint(folder, None, tmp_path / "b")] == first


def test_without_answers_nothing_is_called_better(tmp_path: Path) -> None:
    folder = write_study(tmp_path / "study")
    (folder / "answers.parquet").unlink()
    table, _ = write_joint(folder, None, tmp_path)
    assert "better" not in table.read_text(encoding="utf-8")


def test_bad_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sweep again"):
        read_joint_study(tmp_path, None)
    other = write_study(tmp_path / "b", {"dense": (0.9, 20.0)})
    with pytest.raises(ConfigError, match="does not hold the finished method 'published'"):
        write_joint(other, None, tmp_path)
    rows = pd.read_parquet(other / "results.parquet").drop(columns="edp_mj_s")
    write_table(pa.Table.from_pandas(rows, preserve_index=False), other / "results.parquet")
    with pytest.raises(ConfigError, match="has no column 'edp_mj_s'"):
        read_joint_study(other, None)
