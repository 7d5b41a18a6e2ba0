"""Do pyproject.toml, the pinned packages and README's table tell of the same versions?"""

from __future__ import annotations

import re

import pytest

import check_versions
from check_versions import MARKS, MODELS, PROJECT, ROOT, LeftOutError

SAME_AS_ALGORITHM = ("main", "qwen25_vl")
"""Extras of the published page."""
GROUPS = {
    "base": PROJECT["dependencies"],
    **{
        name: lines
        for name, lines in PROJECT["optional-dependencies"].items()
        if name not in SAME_AS_ALGORITHM
    },
}


def parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_the_readme_holds_the_table_of_the_declared_runs() -> None:
    _, _, rest = (ROOT / "README.md").read_text().partition(MARKS[0])
    held, _, _ = rest.partition(MARKS[1])
    assert held.strip() == check_versions.table(), "run python tests/check_versions.py --write"


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_pinned_lies_within_the_bounds(group: str) -> None:
    files = ("pinned", "docs") if group == "docs" else ("pinned",)
    pinned = {
        name.replace("_", "-").lower(): version
        for file in files
        for name, version in check_versions.pinned(file).items()
    }
    for given in GROUPS[group]:
        line = given.partition(";")[0]  # without the platforms that have wheels
        name, bounds = re.fullmatch(r"([\w.-]+?)((?:[<>=]=?[\d.*,]+)+)", line).groups()  # type: ignore[union-attr]
        version = parts(pinned[name])
        for operator, bound in re.findall(r"(>=|==|<)([\d.]+?)(?:\.\*)?(?:,|$)", bounds):
            held = {
                ">=": version >= parts(bound),
                "<": version < parts(bound),
                "==": version[: len(parts(bound))] == parts(bound),
            }
            assert held[operator], f"{line}: {version}"


@pytest.mark.parametrize("extra", SAME_AS_ALGORITHM)
def test_the_extras_of_the_published_page_are_what_a_model_needs(extra: str) -> None:
    assert PROJECT["optional-dependencies"][extra] == [f"{PROJECT['name']}[algorithm]"]


def test_every_lower_bound_is_run() -> None:
    runs = check_versions.lowest(PROJECT["dependencies"]) | check_versions.MODEL_SETS["lowest"]
    for line in (*PROJECT["dependencies"], *MODELS):
        assert line.startswith("torch==") or re.split("[>=]+", line)[0] in runs, line


def test_a_run_is_left_out_only_where_no_registry_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"install": "conflicting dependencies", "index": "pip (26.0)"}

    def run(*words: object, **_: str) -> object:
        said = next(said for verb, said in answers.items() if verb in words)
        return type("Done", (), {"returncode": int(said != "pip (26.0)"), "stdout": said})

    monkeypatch.setattr(check_versions, "run", run)
    with pytest.raises(RuntimeError, match="conflicting dependencies"):
        check_versions.install("python", "numpy")
    answers["index"] = (
        "WARNING: Retrying (Retry(total=0, ...)) after connection broken by 'NewConnectionError'"
    )
    with pytest.raises(LeftOutError, match="no package registry"):
        check_versions.install("python", "numpy")


def test_a_failing_run_is_a_failure_and_one_left_out_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: Exception) -> str:
        raise error

    outcome = check_versions.Outcome()
    outcome.watch("one", raising, LeftOutError("no python3.12"))
    assert (outcome.failed, outcome.left_out) == (0, 1)
    outcome.watch("two", raising, RuntimeError("other bytes"))
    assert (outcome.failed, outcome.left_out) == (1, 1)
    assert "LEFT OUT: no python3.12" in (said := capsys.readouterr().out)
    assert "FAILED\nother bytes" in said
