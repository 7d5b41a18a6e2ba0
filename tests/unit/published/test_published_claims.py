"""Are claims read strictly, and is a difference what it says?"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from focal_common.errors import TraceError
from focal_evaluation.claims.claims import Claim, Comparison, Reproduced, compare, read_claims
from focal_evaluation.claims.published import read_accuracies, read_gpu_runs
from published_support import ROOT

HEAD = "exhibit,subject,quantity,value,unit,where,tolerance,kind\n"
LINE = "fig_9a,focus,speedup,4.47,x,Fig. 9(a),0.002,calibrated\n"


def _root(tmp_path: Path, text: str) -> Path:
    (tmp_path / "claims.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_a_claim_keeps_its_value_unit_and_place(tmp_path: Path) -> None:
    assert read_claims(_root(tmp_path, HEAD + LINE)) == [
        Claim("fig_9a", "focus", "speedup", 4.47, "x", "Fig. 9(a)", 0.002, "calibrated")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + LINE + LINE, "line 3: second claim of fig_9a / focus / speedup"),
        (HEAD + LINE.replace("calibrated", "guessed"), "kind is 'guessed'"),
        (HEAD + LINE.replace("4.47", "fast"), "value is 'fast'"),
        (HEAD + LINE.replace("4.47", "nan"), "expected a finite number"),
        (HEAD + LINE.replace("0.002", "-1"), "tolerance is -1"),
        (LINE, "column .exhibit. is missing, expected exhibit, subject"),
    ],
)
def test_a_wrong_claims_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        read_claims(_root(tmp_path, text))


def test_a_missing_claims_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        read_claims(tmp_path)


@pytest.mark.parametrize(
    ("published", "ours", "difference", "is_met"),
    [
        (200.0, 201.0, 0.005, False),
        (200.0, 200.2, 0.001, True),
        (0.0, 0.0, 0.0, True),
        (0.0, 1.0, math.inf, False),
    ],
)
def test_a_difference_is_relative_to_the_published_number(
    published: float, ours: float, difference: float, is_met: bool
) -> None:
    claim = Claim("a", "b", "c", published, "1", "here", 0.002, "formula")
    compared = Comparison(claim, Reproduced(ours, "published"))
    assert compared.difference == pytest.approx(difference)
    assert compared.is_met is is_met


def test_a_claim_without_a_number_of_ours_is_not_met() -> None:
    claim = Claim("a", "b", "c", 1.0, "1", "here", 0.5, "formula")
    (compared,) = compare([claim], {})
    assert math.isnan(compared.difference)
    assert not compared.is_met


def test_published_measurements_cover_the_published_workloads() -> None:
    gpu, accuracy = read_gpu_runs(ROOT), read_accuracies(ROOT)
    assert {method: len(runs) for method, runs in gpu.items()} == {"gpu": 9, "gpu_framefusion": 9}
    assert {key: len(values) for key, values in accuracy.items()} == {
        ("dense", "fp16"): 15,
        ("framefusion", "fp16"): 9,
        ("adaptiv", "fp16"): 15,
        ("cmc", "fp16"): 9,
        ("focus", "fp16"): 15,
        ("dense", "int8"): 9,
        ("focus", "int8"): 9,
    }
