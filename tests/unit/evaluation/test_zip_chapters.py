"""Do the sentences of the SparseZip page follow from its tables?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from focal_evaluation.zip_study.results import Results
from focal_evaluation.zip_study.square_chapter import two_by_two

_LAYERS = {"before": "21 21 21 21", "inside": "75 3 3 3", "onecut": "144 144 21 21"}


def _effect(equal: str, effect: str, value: float, low: float, high: float) -> dict[str, Any]:
    found = {"equal": equal, "budget": 21, "group": "shapes-mme", "effect": effect}
    return found | {"value": value, "low": low, "high": high, "is_apart_from_zero": low > 0 or high < 0}


def _square(layers: dict[str, str]) -> Results:
    cells = [f"{place}-{kind}-21" for place in layers for kind in ("agnostic", "aware")]
    configurations = pd.DataFrame(
        {
            "configuration": cells, "part": "two_by_two", "status": "done", "flops": 1e6,
            "layer_tokens": [layers[name.partition("-")[0]] for name in cells],
        }
    )  # fmt: skip
    accuracy = pd.DataFrame({"configuration": cells, "group": "shapes-mme", "accuracy": 0.9})
    effects = pd.DataFrame(
        [
            _effect("layer mean", "timing", -0.30, -0.34, -0.27),
            _effect("kept tokens", "timing", 0.02, 0.01, 0.03),
        ]
    )
    return Results(
        Path(), pd.DataFrame(), pd.DataFrame(), configurations, {"effects": effects, "accuracy": accuracy}, {}
    )


def test_a_schedule_that_starves_the_last_layers_is_not_called_timing() -> None:
    page = two_by_two(_square(_LAYERS), "repo")
    assert "cutting before the decoder is better" not in page
    assert (
        "21 (-30.0 points; the last layer has 3 tokens against 21), so nothing is said of timing there"
        in page
    )
    assert (
        "equal kept tokens, shapes-mme, timing: cutting inside the decoder is better at 21 (+2.0 points)"
        in page
    )


def test_a_schedule_that_keeps_enough_gives_a_sentence_on_timing() -> None:
    page = two_by_two(_square(_LAYERS | {"inside": "30 18 18 18"}), "repo")
    assert "cutting before the decoder is better at 21 (-30.0 points)" in page


@pytest.mark.parametrize("cell", ["21, 21, 21, 21", "75, 3, 3, 3", "144, 144, 21, 21"])
def test_every_cell_shows_the_tokens_of_each_layer(cell: str) -> None:
    assert f"| {cell} |" in two_by_two(_square(_LAYERS), "repo")
