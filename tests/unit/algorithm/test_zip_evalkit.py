"""Is what a user asks of evalkit and its kin taken as meant, or refused in one sentence before a model is read?"""

from __future__ import annotations

from pathlib import Path

import pytest

from focal.commands import sparsezip as cli_sparsezip
from focal.commands.running import run_command
from focal.studies.sparsezip.evalkit import SPLITS, configuration_of, request_of
from focal_common.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("visionzip:total=21", "total is the budget of sparsevlm alone"),
        ("dense:foo=1", "method 'dense' has no parameter 'foo'"),
        ("sparsevlm:total=0", "whole number of visual tokens of at least 1, such as 64, got 0"),
        ("sparsevlm:total=abc", "got 'abc'"),
        ("sparsevlm:total=2.5", "got 2.5"),
        ("sparsevlm:kept_tokens=[9]", "kept_tokens follows from total here"),
        ("sparsevlm:nonsense=1", "no parameter 'nonsense'"),
        ("visionzip:dominant=9,dominant=10", "'dominant' is given twice"),
        ("visionsip", "did you mean 'visionzip'"),
        ("visionzip:dominant", "is not field=value"),
        ("focus", "expected dense, visionzip, sparsezip"),
    ],
)
def test_a_method_that_would_not_run_as_asked_is_refused(words: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration_of(words)
    assert says in str(caught.value)


def test_a_method_keeps_what_it_was_given() -> None:
    inside = configuration_of("sparsevlm:total=32,heads_kept=8")
    assert (inside.budget, inside.place, inside.reads_text) == (32, "hooks", True)
    assert configuration_of("sparsevlm").budget == 64
    zipped = configuration_of("sparsezip:alphas=[1,0.4,-0.6],text=projected")
    assert (zipped.parameters["alphas"], zipped.reads_text) == ([1, 0.4, -0.6], True)
    assert not configuration_of("zip_parts:scorer=hybrid").reads_text


def test_one_wrong_name_among_right_ones_is_not_passed_over() -> None:
    with pytest.raises(ConfigError, match="--only 'positn' of shapes-mme; did you mean 'position'"):
        request_of("shapes-mme", ["dense"], ["count", "positn"], 12, 0)
    with pytest.raises(ConfigError, match="expected at least 1"):
        request_of("shapes-mme", ["dense"], [], 0, 0)
    assert (
        request_of("shapes-mme", ["dense", "dense"], SPLITS["shapes-mme"], 12, 0).only == SPLITS["shapes-mme"]
    )


@pytest.mark.parametrize("command", ["evalkit", "mme_run_all", "pope_run_all"])
def test_wrong_input_ends_before_a_model_is_read(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "--output", str(tmp_path / "out"), "--method", "visionzip:total=21"]
    nowhere = ["--model", str(tmp_path / "no such model")]
    assert run_command(cli_sparsezip.app, [*words, *nowhere]) == 2
    assert "total is the budget of sparsevlm alone" in " ".join(capsys.readouterr().err.split())
