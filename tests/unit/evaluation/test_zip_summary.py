"""Is the summary of a run whole, and does it say what failed?"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from focal.commands.running import run_command
from focal.commands.sparsezip import report_app
from focal.studies.sparsezip.metrics import pope_score
from focal.studies.sparsezip.results import read_results
from focal.studies.sparsezip.summary import COLUMNS, summary, write_report
from focal_common.errors import ConfigError, TraceError

_SAID = ["yes", "no", "not a dog", "no", "Yes.", "no", "maybe", "no"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of two configurations, of which one failed."""
    truths = ["yes", "no"] * 4
    questions = pd.DataFrame(
        {
            "question": range(8),
            "benchmark": ["shapes-pope"] * 4 + ["shapes-mme"] * 4,
            "split": ["random"] * 2 + ["popular"] * 2 + ["count"] * 4,
            "picture": [0, 0, 0, 0, 1, 1, 2, 2],
            "picture_id": ["pope-0"] * 4 + ["mme-0", "mme-0", "mme-1", "mme-1"],
            "text": ["?"] * 8,
            "truth": truths,
        }
    )
    questions.to_csv(tmp_path / "questions.csv", index=False)
    pd.DataFrame({"question": range(8), "good-64": _SAID}).to_csv(tmp_path / "answers.csv", index=False)
    shared = {"part": "curve", "place": "before", "method": "visionzip", "config_hash": "0", "model": "m"}
    rows = [
        shared
        | {
            "configuration": "good-64",
            "status": "done",
            "reason": "",
            "visual_tokens": 64.0,
            "flops": 1e6,
            "layer_tokens": "64 64",
        },
        shared | {"configuration": "bad-64", "status": "failed", "reason": "too few tokens"},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "configurations.csv", index=False)
    manifest = {
        "configuration": {
            "questions": {"questions": 8, "pictures": 3, "sha256": "a" * 64}
        },
        "model": "m", "model_sha256": "b" * 64, "visual_tokens": 144, "layers": 8, "seed": 0,
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path


def test_a_failed_configuration_has_a_row_for_every_split(folder: Path) -> None:
    found = summary(read_results(folder))
    assert tuple(found.columns) == COLUMNS
    done, failed = (found[found["status"] == status] for status in ("done", "failed"))
    places = {tuple(pair) for pair in done[["benchmark", "split"]].to_numpy()}
    assert {tuple(pair) for pair in failed[["benchmark", "split"]].to_numpy()} == places
    assert set(failed["reason"]) == {"too few tokens"}
    assert failed["value"].isna().all()
    assert done["value"].notna().all()


def test_a_partial_run_ends_with_exit_code_1_and_says_so(folder: Path) -> None:
    assert run_command(report_app, [str(folder)]) == 1
    assert "too few tokens" in (folder / "summary_final.csv").read_text(encoding="utf-8")


def test_the_summary_is_that_of_the_metrics(folder: Path) -> None:
    for parser, unparsed in (("repo", 1), ("official", 0)):
        found = summary(read_results(folder), parser)  # type: ignore[arg-type]
        own = found[(found["benchmark"] == "shapes-pope") & (found["split"] == "all")]
        values = own[own["status"] == "done"].set_index("metric")
        expected = pope_score(_SAID[:4], ["yes", "no", "yes", "no"], parser)  # type: ignore[arg-type]
        assert values.loc["accuracy", "value"] == expected["accuracy"]
        assert values.loc["f1", "value"] == pytest.approx(expected["f1"])
        assert values.loc["accuracy", "n_unparsed"] == unparsed
        assert values.loc["accuracy", "ci_low"] <= expected["accuracy"] <= values.loc["accuracy", "ci_high"]


def test_mme_counts_a_picture_only_with_both_answers_right(folder: Path) -> None:
    found = summary(read_results(folder))
    own = found[
        (found["benchmark"] == "shapes-mme") & (found["split"] == "count") & (found["status"] == "done")
    ]
    values = own.set_index("metric")["value"]
    # "Yes." and "no" are right, "maybe" is not: three of four questions, one of two pictures.
    assert (values["accuracy"], values["accuracy_plus"], values["score_official"]) == (0.75, 0.5, 125.0)


def test_answers_that_are_gone_are_no_half_empty_summary(folder: Path) -> None:
    pd.DataFrame({"question": range(8)}).to_csv(folder / "answers.csv", index=False)
    with pytest.raises(TraceError, match="no column for 'good-64'"):
        read_results(folder)
    pd.DataFrame({"question": range(5), "good-64": _SAID[:5]}).to_csv(folder / "answers.csv", index=False)
    with pytest.raises(TraceError, match="5 rows for 8 questions"):
        read_results(folder)


def test_wrong_use_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'official'"):
        write_report(folder, "officiel")
    with pytest.raises(TraceError, match="no such file; expected a result folder"):
        read_results(tmp_path / "nowhere")


def test_two_reports_have_the_same_bytes(folder: Path) -> None:
    write_report(folder)
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_report(folder)
    assert first == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_summary_on_disk_holds_both_parsers(folder: Path) -> None:
    write_report(folder, "official")
    found = pd.read_csv(folder / "summary_final.csv")
    done = found[(found["status"] == "done") & (found["metric"] == "accuracy") & (found["split"] == "all")]
    said = done.set_index(["benchmark", "parser"])["n_unparsed"]
    assert (said["shapes-mme", "repo"], said["shapes-mme", "official"]) == (1, 0)


def test_tables_of_an_older_version_are_refused_in_one_sentence(folder: Path) -> None:
    path = folder / "configurations.csv"
    pd.read_csv(path).drop(columns="layer_tokens").to_csv(path, index=False)
    with pytest.raises(TraceError, match="no column 'layer_tokens', so an older version wrote it"):
        read_results(folder)
