"""Does a new method run, simulate and enter the arena by doing exactly what docs/adding_a_method.md says?"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from focal.commands.main import main
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.build import method_of_file

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding_a_method.md"

pytestmark = pytest.mark.slow


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the package, save the page's file where the page says, and add the page's line to the table."""
    source = tmp_path_factory.mktemp("source") / "algorithm"
    shutil.copytree(ROOT / "algorithm", source, ignore=shutil.ignore_patterns("__pycache__"))
    text = PAGE.read_text(encoding="utf-8")
    (place,) = re.findall(r"Save it as `algorithm/(.*?)`", text)
    (line,) = re.findall(r"Add `(\"normprune\": .*?,)` to the table", text)
    (source / place).write_text(blocks("python")[0], encoding="utf-8")
    table = source / "focal_algorithm" / "methods" / "__init__.py"
    before, mark, after = table.read_text(encoding="utf-8").partition('    "method",\n    {\n')
    assert mark
    table.write_text(f"{before}{mark}        {line}\n{after}", encoding="utf-8")
    return source


def test_the_commands_of_the_page_run_as_printed(package: Path, tmp_path: Path) -> None:
    others = (str(ROOT / name) for name in ("common", "traces", "simulator", "evaluation_scripts"))
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(package), *others)),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "FOCAL_CACHE": str(tmp_path / "cache"),
    }
    commands = [shlex.split(line) for line in blocks("sh")[0].splitlines()]
    assert [words[:2] for words in commands] == [["focal", verb] for verb in ("trace", "sim", "arena")]
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-c", "from focal.commands.main import main; main()", *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    table = (tmp_path / "arena" / "arena.csv").read_text(encoding="utf-8").splitlines()
    (own,) = [row for row in table if ",normprune," in row]
    assert ",ok," in own
    assert ",normprune," in (tmp_path / "results" / "results.csv").read_text(encoding="utf-8")


def test_its_file_alone_is_traced_and_a_file_that_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(METHODS, "_table", dict(METHODS._table))
    source = blocks("python")[0]
    words = [
        "trace",
        "--method",
        "normprune.py",
        "--model",
        "llava",
        "--size",
        "tiny",
        "--samples",
        "1",
        "--output",
        "out",
    ]
    for text, more, sentence in (
        (source, [], ""),
        (source, ["-j", "2"], "workers do not know a method given as a file"),
        ("\nimport nowhere_to_be_found\n", [], "line 2: cannot be run: ModuleNotFoundError: No module named"),
        (source.replace("class NormPrune", "class FastV"), [], "there is a method 'fastv' already"),
    ):
        Path("normprune.py").write_text(text, encoding="utf-8")
        method_of_file.cache_clear()
        with pytest.raises(SystemExit) as done:
            main([*words, *more])
        assert done.value.code == (2 if sentence else 0)
        assert sentence in capsys.readouterr().err
    assert Path("out/normprune").is_dir()


def test_its_file_alone_enters_the_arena_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("normprune.py").write_text(blocks("python")[0], encoding="utf-8")
    (command,) = [line for line in blocks("text")[0].splitlines() if "arena" in line]
    words = [*shlex.split(command)[1:], "--questions", "4", "-j", "2"]
    for source, code in ((blocks("python")[0], 0), ("x = 1\n", 2)):
        Path("normprune.py").write_text(source, encoding="utf-8")
        method_of_file.cache_clear()
        with pytest.raises(SystemExit) as done:
            main(words)
        assert done.value.code == code
    told = capsys.readouterr()
    assert "normprune.py: expected one subclass of CompressionMethod or TokenSelector, found none" in told.err
    with Path("arena/arena.csv").open(encoding="utf-8", newline="") as source_file:
        (own,) = [row for row in csv.DictReader(source_file) if row["method"] == "normprune"]
    assert own["status"] == "ok"
    assert all(own[f"{what}_simulated_focus_sec_only"] for what in ("cycles", "energy_mj", "area_mm2"))
