"""Runs what the bounds in pyproject.toml promise, each in an environment of its own, and writes README's table of it.

    python tests/check_versions.py [--write]

Models: the named tests pass with the lowest, and with the newest, transformers put before the pinned packages; torch
stays the pinned build. Base install: `focal sim` gives the bytes of the pinned environment on every Python.
Environments lie in .work/versions and are made again when what they are made of changes. Where no registry answers, or
a Python is missing, a run is left out and the reason printed; everything else that goes wrong is a failure.

``--write`` also runs the named tests on the pinned packages, and writes the table where nothing failed or was left out.
`tests/unit/common/test_declared_versions.py` holds the table to pyproject.toml.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work" / "versions"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODELS = PROJECT["optional-dependencies"]["algorithm"]
MARKS = ("<!-- written by tests/check_versions.py -->", "<!-- end -->")

NAMED_TESTS = (
    "tests/contracts/test_conformance.py",  # all methods in all families
    "tests/contracts/test_offline_evaluator.py",  # pictures encoded before
    "tests/contracts/test_text_after_prefill.py",  # further turns
    "tests/contracts/test_zip_study_twins.py",
    "tests/unit/algorithm/test_inputs.py",  # what pillow, PyAV and scikit-image read
    "tests/unit/algorithm/test_reading.py",
    "tests/unit/algorithm/test_llava_video.py",
    "tests/unit/algorithm/test_transformers_versions.py",
)


class LeftOutError(Exception):
    """A run cannot be made here."""


def lowest(requirements: list[str]) -> dict[str, str]:
    """Return the lower bounds of requirements, by distribution."""
    found = (re.match(r"([\w.-]+)>=([\d.]+)", line) for line in requirements)
    return {match[1]: match[2] for match in found if match}


def pinned(file: str = "pinned") -> dict[str, str]:
    """Return what a file of requirements/ pins, by distribution."""
    lines = (ROOT / "requirements" / f"{file}.txt").read_text().splitlines()
    return dict(line.partition(";")[0].strip().split("==") for line in lines if not line.startswith("#"))


def newest_transformers() -> str:
    """Return the newest transformers that was run, as the product knows it."""
    text = (ROOT / "algorithm/focal_algorithm/transformers_versions.py").read_text()
    return re.findall(r'^NEWEST = "(.*)"', text, re.MULTILINE)[0]


MODEL_SETS = {
    "lowest": lowest(MODELS),
    "pinned": {},
    "newest": {"transformers": newest_transformers()},
}
"""What stands before the pinned packages, on Python 3.11."""

BASE_SETS = [("3.11", "lowest"), ("3.12", "lowest"), ("3.13", "lowest"), ("3.13", "pinned")]
"""Python and packages of the base install."""


def table() -> str:
    """Return README's table."""
    kept = pinned()
    rows = ["| Python | packages | torch | transformers | what was run |", "|---|---|---|---|---|"]
    for name, versions in MODEL_SETS.items():
        packages = f"{name}, the others pinned" if versions else "pinned"
        used = versions.get("transformers", kept["transformers"])
        rows.append(f"| 3.11 | {packages} | {kept['torch']} | {used} | all methods in all families |")
    for python, name in BASE_SETS:
        rows.append(
            f"| {python} | {name} | none | none | `focal sim` on the published traces, the same bytes |"
        )
    return "\n".join(rows)


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository root."""
    return subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def install(python: Path | str, *words: str | Path) -> None:
    """Run pip; raises `LeftOutError` where it fails because no registry answers, else `RuntimeError`."""
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    done = run(*pip, "install", "--quiet", "--only-binary", ":all:", *words)
    if done.returncode == 0:
        return
    # pip's exit code tells an unreachable registry from a missing package no more than its last line does.
    if "Retry(total=0" in run(*pip, "--retries", "2", "index", "versions", "pip").stdout:
        raise LeftOutError("no package registry can be reached")
    raise RuntimeError(done.stdout)


def made_once(name: str, content: str) -> tuple[Path, bool]:
    """Return the folder of an environment, empty unless it was finished with the same content."""
    folder = WORK / name
    stamp = folder / "made-of"
    if stamp.is_file() and stamp.read_text() == content:
        return folder, True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder, False


CONFLICTS = """
from importlib.metadata import requires, version
from packaging.requirements import Requirement
import sys
for name, asked in (word.split("==") for word in sys.argv[1:]):
    if not Requirement(f"{name}=={asked}").specifier.contains(version(name)):
        sys.exit(f"{name} {version(name)} is imported, and {asked} was asked for")
    for line in requires(name) or ():
        wanted = Requirement(line)
        if (not wanted.marker or wanted.marker.evaluate()) and not wanted.specifier.contains(version(wanted.name)):
            sys.exit(f"{name} {version(name)} wants {wanted}, and {version(wanted.name)} is here")
"""


def check_models(name: str) -> str:
    """Run the named tests with other versions before the pinned packages; return pytest's last line."""
    versions = MODEL_SETS[name]
    content = "\n".join(f"{key}=={value}" for key, value in versions.items())
    python, path = sys.executable, ""
    if versions:
        folder, is_made = made_once(name, content)
        path = str(folder)
        if not is_made:
            install(python, "--no-deps", "--target", folder, *content.split())
            (folder / "made-of").write_text(content)
    found = run(
        python, "-c", CONFLICTS, *(f"{name}=={one}" for name, one in versions.items()), PYTHONPATH=path
    )
    if found.returncode:
        raise RuntimeError(found.stdout)
    workers = os.environ.get("FOCAL_TEST_WORKERS", "2")
    words = f"-n {workers} --dist loadfile -W error::FutureWarning -W error::DeprecationWarning".split()
    settings = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = run(python, "-m", "pytest", "-p", "no:cacheprovider", *words, *NAMED_TESTS, **settings)
    if done.returncode:
        raise RuntimeError(done.stdout)
    return done.stdout.strip().splitlines()[-1]


def interpreter(version: str) -> str:
    """Return a Python of a version, from PATH or pyenv; raises `LeftOutError` where there is none."""
    name = f"python{version}"
    known = run("pyenv", "versions", "--bare").stdout.split() if shutil.which("pyenv") else []
    for selected in ("", *(one for one in known if one.startswith(f"{version}."))):
        settings = {"PYENV_VERSION": selected} if selected else {}
        if shutil.which(name):
            done = run(name, "-c", "import sys; print(sys.executable)", **settings)
            if done.returncode == 0:
                return done.stdout.strip()
    raise LeftOutError(f"no {name} on PATH or in pyenv")


def results(python: Path | str, folder: Path, **environment: str) -> dict[str, str]:
    """Simulate the published traces; return the SHA-256 of each CSV, by fidelity and name."""
    found = {}
    for fidelity in ("cycle", "parity"):
        output = folder / "results" / fidelity
        options = ("--accelerator", "all", "--no-figure", "--fidelity", fidelity, "--output", output)
        done = run(python, "simulator/run.py", "--trace", "example_output/published", *options, **environment)
        if done.returncode:
            raise RuntimeError(done.stdout)
        for path in sorted(output.rglob("*.csv")):
            found[f"{fidelity}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check_base(version: str, name: str, expected: dict[str, str]) -> str:
    """Install without torch on a Python; return how many CSVs of a simulation had the expected bytes."""
    base = PROJECT["dependencies"]
    versions = lowest(base) if name == "lowest" else pinned()
    source = interpreter(version)
    content = "\n".join([source, *base, *(f"{key}=={value}" for key, value in versions.items())])
    folder, is_made = made_once(f"base-{version}-{name}", content)
    python = folder / "bin" / "python"
    if not is_made:
        made = run(source, "-m", "venv", folder)
        if made.returncode:
            raise RuntimeError(made.stdout)
        limits = folder / "constraints.txt"
        limits.write_text("".join(f"{key}=={value}\n" for key, value in versions.items()))
        install(python, "--editable", ".", "--constraint", limits)
        (folder / "made-of").write_text(content)
    torch = run(python, "-c", "import torch")
    if torch.returncode == 0:
        raise RuntimeError("the base install brought torch")
    found = results(python, folder, NUMBA_CACHE_DIR=str(folder / "numba"))
    differing = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    if differing:
        raise RuntimeError(f"other bytes than in the pinned environment: {', '.join(differing)}")
    return f"{len(found)} CSVs with the bytes of the pinned environment"


@dataclass
class Outcome:
    """How the runs went."""

    failed: int = 0
    left_out: int = 0

    def watch(self, title: str, check: Callable[..., str], *arguments: Any) -> None:
        """Make one run and print how it went and how long it took."""
        started = time.monotonic()
        try:
            answer = check(*arguments)
        except LeftOutError as reason:
            self.left_out += 1
            answer = f"LEFT OUT: {reason}"
        except RuntimeError as error:
            self.failed += 1
            answer = f"FAILED\n{error}"
        print(f"{title} ({time.monotonic() - started:.0f} s): {answer}", flush=True)


def written(text: str) -> str:
    """Return README with the table between its marks."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{table()}\n{MARKS[1]}{after}"


def main() -> int:
    """Make all runs; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write README's table if all passed")
    options = parser.parse_args()
    outcome = Outcome()
    for name in MODEL_SETS:
        if name != "pinned" or options.write:
            outcome.watch(f"models, {name}", check_models, name)
    expected = results(sys.executable, WORK / "pinned")
    for python, name in BASE_SETS:
        outcome.watch(f"base install, Python {python}, {name}", check_base, python, name, expected)
    if options.write and not (outcome.failed or outcome.left_out):
        readme = ROOT / "README.md"
        readme.write_text(written(readme.read_text()))
    return int(outcome.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
