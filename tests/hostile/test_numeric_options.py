"""Is a number on the command line or in the environment taken in plain digits only, by every option of every verb?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from harness import Outcome, asked

from focal.commands.main import VERBS

ODD = ("２", "1_0", " 7", "²", "9" * 5000, "nan", "inf", "1e999", "0x1f", "")


def _numeric(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield words that end in an option, for each whose value becomes a number."""
    context = command.make_context("focal", [], resilient_parsing=True)
    for one in command.params:
        with suppress(Exception):
            found = one.process_value(context, ["7"] if one.multiple else "7")
            if type(found[0] if isinstance(found, list) else found) in (int, float):
                yield (*words, max(one.opts, key=len))
    for name, verb in getattr(command, "commands", {}).items():
        yield from _numeric(verb, (*words, name))


OPTIONS = [words for verb in VERBS for words in _numeric(typer.main.get_command(VERBS.load(verb)), (verb,))]


def refused(words: list[str]) -> Outcome:
    found = asked(words)
    assert (found.code, found.faults) == (2, []), (words, found)
    assert found.error.startswith("error: "), found.error
    assert found.error.count("\n") == 1, found.error
    return found


def test_the_numeric_options_are_found() -> None:
    names = {" ".join(words) for words in OPTIONS}
    assert {"sweep --jobs", "trace --samples", "eval --limit", "trace info --sample", "gpu --batch"} <= names
    assert len(names) >= 75


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
def test_a_number_in_other_than_plain_digits(words: tuple[str, ...]) -> None:
    for odd in ODD:
        # One word, so that an empty value and one with a dash are values of the option.
        assert words[-1] in refused([*words[:-1], f"{words[-1]}={odd}"]).error


@pytest.mark.parametrize("odd", ["２", "1_0", "²", "9" * 5000, "nan", "1e999"])
@pytest.mark.parametrize(
    "words",
    [
        ["trace", "--shard={}/4", "--output={out}"],
        ["trace", "--shard=1/{}", "--output={out}"],
        ["trace", "--devices={}", "--output={out}"],
        ["trace", "--method=visionzip", "--budget={}", "--size=tiny", "--output={out}"],
        ["trace", "--match", "tokens", "{}", "--size=tiny", "--output={out}"],
        ["trace", "--method=focus", "--set=vector_size={}", "--size=tiny", "--output={out}"],
        ["eval", "--tasks=shapes-video", "--batch={}", "--output_path={out}"],
        ["eval", "--tasks=shapes-video", "--model_args=seed={}", "--output_path={out}"],
        ["eval", "--tasks=shapes-video", "--sweep=vector_size={}", "--method=focus", "--output_path={out}"],
        ["matrix", "--batch={}", "--output={out}"],
        ["matrix", "--choose={}", "--output={out}"],
        ["arena", "--budgets={}", "--output={out}"],
        ["sparsezip", "study", "--budgets={}", "--output={out}"],
        ["sim", "--model-shape=llava_video", "--patches={}x2", "--output={out}"],
        ["data", "show", "shapes-video", "--set=frames={}"],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_number_inside_a_text(words: list[str], odd: str, tmp_path: Path) -> None:
    refused([word.replace("{}", odd).replace("{out}", str(tmp_path / "out")) for word in words])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("odd", ["２", "1_0", "²", "x", "9" * 5000])
@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK"])
def test_a_number_of_a_launcher(name: str, odd: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for one, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", name: odd}.items():
        monkeypatch.setenv(one, value)
    words = ["trace", "--size=tiny", "--samples=1", "--frames=2", f"--output={tmp_path / 'out'}"]
    assert name in refused(words).error
