"""Do the scripts at the top call the runner with the right suite, and refuse a slip of the pen?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from focal.commands import matrix as cli_matrix
from focal.commands import trace as cli
from focal_algorithm.matrix.schema import read_matrix

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path.name for path in ROOT.glob("run_*.sh") if path.name != "run_tests.sh")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts beside a `focal` that prints its words."""
    root = tmp_path_factory.mktemp("tree")
    for name in SCRIPTS:
        shutil.copy(ROOT / name, root / name)
    (root / "algorithm").mkdir()
    shutil.copy(ROOT / "algorithm" / "run_focus.sh", root / "algorithm")
    (root / "scripts").mkdir()
    for name in ("run_matrix.sh", "check_options.sh"):
        shutil.copy(ROOT / "scripts" / name, root / "scripts")
    (root / "scripts" / "setup_env.sh").write_text("exit 0\n")
    focal = root / ".venv" / "bin" / "focal"
    focal.parent.mkdir(parents=True)
    focal.write_text('#!/bin/sh\necho "$@"\n')
    focal.chmod(0o755)
    return root


def call(tree: Path, name: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "TRACE_META_DIR"} | variables
    return subprocess.run(
        ["sh", str(tree / name), *words], capture_output=True, text=True, check=False, env=environment
    )


def test_there_is_a_script_for_every_system() -> None:
    systems = (
        "focus",
        "focus_image",
        "adaptiv",
        "adaptiv_image",
        "cmc",
        "framefusion",
        "original",
        "original_image",
    )
    assert set(SCRIPTS) == {
        f"run_{name}.sh" for name in (*systems, "dse", "visionzip", "sparsevlm", "sparsezip")
    }


def test_focus_alone_keeps_its_quick_run(tree: Path) -> None:
    trace = "trace --precision float --simulate dense,focus,focus_sec_only"
    trained = f"{trace} --model shapes_video --task shapes-video --against-dense"
    assert call(tree, "run_focus.sh").stdout.strip() == trained
    assert call(tree, "run_focus.sh", "--samples", "2").stdout.strip() == f"{trained} --samples 2"
    clip = tree / "clip.mp4"
    clip.touch()
    for words in (("--video", str(clip)), ("--model", "llava"), ("--model=llava",), ("--size=tiny",)):
        assert call(tree, "run_focus.sh", *words).stdout.strip() == f"{trace} {' '.join(words)}"
    assert call(tree, "run_focus.sh", "--profile", "hub", "--model", "a/b").stdout.strip().startswith(trace)
    assert call(tree, "run_focus.sh", "--json", "--samples", "-1").stdout.endswith("--json --samples -1\n")
    assert "trace --precision int8" in call(tree, "run_focus.sh", "int8", "--samples", "1").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("full",), "matrix --only focus_full"),
        (("int8", "full"), "matrix --only focus_int8_full"),
        (("full", "int8", "--resume"), "matrix --only focus_int8_full --resume"),
        (("full", "--profile=paper"), "matrix --only focus_full --profile=paper"),
        (("int8", "--profile", "paper"), "matrix --only focus_int8 --profile paper"),
    ],
)
def test_focus_through_the_matrix(words: tuple[str, ...], expected: str, tree: Path) -> None:
    assert call(tree, "run_focus.sh", *words).stdout.strip() == expected


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name != "run_focus.sh"])
def test_a_script_names_a_suite_of_both_profiles(name: str, tree: Path) -> None:
    suite = name.removeprefix("run_").removesuffix(".sh")
    assert call(tree, name, "--resume").stdout.strip() == f"matrix --only {suite} --resume"
    assert suite in read_matrix("offline").suites
    assert suite in read_matrix("paper").suites
    word = next(one for one in ("full", "accuracy") if f"[{one}]" in call(tree, name, "--help").stdout)
    assert call(tree, name, word).stdout.strip() == f"matrix --only {suite}_{word}"
    assert f"{suite}_{word}" in read_matrix("offline").suites
    assert f"{suite}_{word}" in read_matrix("paper").suites


def test_the_published_commands_on_the_page_are_accepted(tree: Path) -> None:
    page = (ROOT / "docs" / "published_commands.md").read_text()
    typed = re.findall(r"^\| `sh (run_\w+\.sh)([ \w]*)` \|", page, re.MULTILINE)
    assert len(typed) == 18
    for name, words in typed:
        done = call(tree, name, *words.split())
        assert (done.returncode, done.stderr) == (0, ""), (name, words)


@pytest.mark.parametrize("name", SCRIPTS)
def test_trace_meta_dir_names_the_output_folder_unless_an_option_does(name: str, tree: Path) -> None:
    where = "my traces"
    plain, said = call(tree, name), call(tree, name, TRACE_META_DIR=where)
    assert said.stdout == f"{plain.stdout.rstrip()} --output {where}\n"
    for words in (("--output", "own"), ("--output=own",)):
        assert call(tree, name, *words, TRACE_META_DIR=where).stdout == call(tree, name, *words).stdout
    assert call(tree, name, TRACE_META_DIR="").stdout == plain.stdout
    word = "int8" if "[int8]" in plain.stdout + call(tree, name, "--help").stdout else ""
    with_word = [*filter(None, [word])]
    assert call(tree, name, *with_word, TRACE_META_DIR=where).stdout.endswith(f" --output {where}\n")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_slip_of_the_pen_is_one_sentence(name: str, tree: Path) -> None:
    done = call(tree, name, "quick")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: unknown word 'quick'; usage: sh {name}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("run_focus.sh", ("--modle", "llava"), "unknown option '--modle'; did you mean '--model'?"),
        ("run_focus.sh", ("full", "--resum"), "unknown option '--resum'; did you mean '--resume'?"),
        ("run_cmc.sh", ("--sampels=3",), "unknown option '--sampels'; did you mean '--samples'?"),
        ("run_dse.sh", ("accuracy", "--nothing-like-it"), "unknown option '--nothing-like-it'; Valid:"),
        ("run_focus.sh", ("--video", "absent.mp4"), "error: absent.mp4: no such file"),
        ("run_focus.sh", ("--samples", "2", "stray"), "'stray' belongs to no option"),
        ("run_focus.sh", ("--samples=2", "stray"), "'stray' belongs to no option"),
        ("run_focus.sh", ("--samples", "2", "full"), "'full' belongs to no option; plain words stand before"),
        ("run_cmc.sh", ("full", "--resume", "int8"), "'int8' belongs to no option"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_installed(
    name: str, words: tuple[str, ...], message: str, tree: Path
) -> None:
    setup = tree / "scripts" / "setup_env.sh"
    before = setup.read_text()
    setup.write_text("echo installed; exit 3\n")
    try:
        done = call(tree, name, *words)
    finally:
        setup.write_text(before)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_scripts_know_which_options_take_no_value() -> None:
    found = re.search(r'^flags="([^"]*)"', (ROOT / "scripts" / "check_options.sh").read_text(), re.MULTILINE)
    assert found is not None
    flags = {"--help"}
    for app in (cli.app, cli_matrix.app):
        options = [one for one in typer.main.get_group(app).params if getattr(one, "is_flag", False)]
        flags |= {word for one in options for word in (*one.opts, *one.secondary_opts)}
    assert set(found[1].replace("\\\n", "").split()) == flags


@pytest.mark.parametrize(
    ("script", "app"), [("algorithm/run_focus.sh", cli.app), ("scripts/run_matrix.sh", cli_matrix.app)]
)
def test_the_scripts_know_the_options_of_the_commands(script: str, app: typer.Typer) -> None:
    found = re.search(r'^options="([^"]*)"', (ROOT / script).read_text(), re.MULTILINE)
    assert found is not None
    callback = typer.main.get_group(app)
    known = {word for one in callback.params for word in (*one.opts, *one.secondary_opts)}
    assert set(found[1].replace("\\\n", "").split()) == known | {"--help"}
