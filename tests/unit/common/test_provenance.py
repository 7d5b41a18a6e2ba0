"""Does a manifest identify its run by content?"""

import pytest
import typer

from focal.commands import main as command
from focal_common.provenance import content_hash, manifest


def test_equal_content_hashes_alike_whatever_the_order() -> None:
    assert content_hash({"a": 1, "b": [1.5, "x"]}) == content_hash({"b": [1.5, "x"], "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})


def test_a_manifest_names_configuration_code_and_versions() -> None:
    made = manifest({"threshold": 0.9}, "numpy", "no-such-package", seed=7)
    assert made["configuration_sha256"] == content_hash({"threshold": 0.9})
    assert set(made["versions"]) >= {"python", "numpy"}
    assert "no-such-package" not in made["versions"]
    assert set(made["code"]) == {"commit", "is_dirty"}
    assert made["seed"] == 7


def test_the_command_of_a_manifest_names_its_verb_once(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []

    application = typer.Typer()

    @application.command()
    def verb(limit: int) -> None:
        commands.append((limit, manifest({})["command"]))

    monkeypatch.setattr(type(command.VERBS), "load", lambda registry, name: application)
    for argv in (["/bin/focal", "eval", "2"], ["script.py"]):
        monkeypatch.setattr("sys.argv", argv)
        given = None if len(argv) > 1 else ["eval", "2"]
        with pytest.raises(SystemExit):
            command.main(given)
    assert commands == [(2, ["focal", "eval", "2"])] * 2
    monkeypatch.setattr("sys.argv", ["/some/where/study.py", "eval"])
    assert manifest({})["command"] == ["study.py", "eval"]
