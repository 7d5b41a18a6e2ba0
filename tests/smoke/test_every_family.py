"""Does one command trace and simulate every family?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from focal_algorithm.cli import app
from focal_algorithm.models import MODELS
from focal_common.console import run_command

SMALL = ["--size", "tiny", "--frames", "2", "--samples", "1", "--json"]


@pytest.mark.parametrize("family", list(MODELS))
def test_a_family_is_traced_and_simulated(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, [*SMALL, "--model", family, "--simulate", "all", "--output", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    sample = printed["samples"][0]
    assert printed["model"] == family
    assert sample["visual_tokens_by_layer"][-1] < sample["visual_tokens"]
    assert sample["answer"] is not None
    text = json.dumps(printed["simulation"])
    assert '"focus"' in text
    assert '"dense"' in text
