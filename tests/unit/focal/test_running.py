"""Does a command add its own options to a sentence of a library that knows none?"""

from __future__ import annotations

import pickle
from typing import Annotated

import pytest
import typer

from focal.commands.running import run_command
from focal_common.errors import ConfigError, RunError

app = typer.Typer(add_completion=False)


@app.command()
def one(
    about: str,
    fidelity: str = "",
    resume: bool = True,
    parameters: Annotated[str, typer.Option("--set")] = "",
) -> None:
    raise ConfigError("it cannot work", about=about.split(","))


group = typer.Typer(add_completion=False)
group.add_typer(app, name="inner", invoke_without_command=False)


@group.command()
def other(output: str = "") -> None:
    raise RunError("the disk is full", about=("output", "fidelity"))


@pytest.mark.parametrize(
    ("about", "end"),
    [
        ("fidelity", " (--fidelity)"),
        ("resume", " (--no-resume)"),
        ("parameters,fidelity", " (--set, --fidelity)"),
        ("output", ""),  # this verb has none
        ("about", ""),  # an argument, no option
    ],
)
def test_options_of_the_verb_stand_behind_the_sentence(
    about: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(app, [about]) == 2
    assert capsys.readouterr().err == f"error: it cannot work{end}\n"


def test_options_of_a_verb_inside_a_group_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(group, ["other"]) == 1
    assert capsys.readouterr().err == "error: the disk is full (--output)\n"
    assert run_command(group, ["inner", "one", "fidelity"]) == 2
    assert capsys.readouterr().err == "error: it cannot work (--fidelity)\n"


def test_an_error_keeps_what_it_is_about_on_its_way_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(ConfigError("it cannot work", about=("fidelity",))))
    assert (str(error), error.about) == ("it cannot work", ("fidelity",))
