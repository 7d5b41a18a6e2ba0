"""Does a command end in words whatever streams, locale, names and signals, and a set-up whatever was killed?"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOCAL = f"{sys.executable} -c 'from focal.commands.main import main; main()'"


def shell(line: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of sh with ``focal``; the last line of stdout is the exit code."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        ["sh", "-c", line.replace("focal ", f"{FOCAL} ")],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("focal --help >&-", 0),
        ("focal --help 2>&-", 0),
        ("focal --help <&-", 0),
        ("focal --help >/dev/full", 1),
        ("focal sim --help >/dev/full 2>/dev/full", 1),
        ("focal trace info absent 2>/dev/full", 2),
        ("focal trace info absent >&- 2>&-", 2),
        ('focal trace info ""', 2),
        ("focal trace info \"$(printf 'a\\377b')\"", 2),
        ("focal sim --trace 'é日' --output out", 2),
    ],
)
@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "POSIX"])
def test_streams_and_names(line: str, code: int, locale: str, tmp_path: Path) -> None:
    encoding = {} if locale == "C.UTF-8" else {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = shell(line, tmp_path, LANG=locale, LC_ALL=locale, **encoding)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception ignored" not in done.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    done = shell("{ focal sim --help; echo $? >code; } | true", tmp_path)
    assert done.stderr == b""
    assert (tmp_path / "code").read_text().strip() in ("0", "1")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_said(number: signal.Signals, code: int, tmp_path: Path) -> None:
    # A shell that runs the suite in the background lets its children ignore Ctrl-C.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program += "import time, typer; app = typer.Typer()\n"
    program += "app.command()(lambda: (print('on', flush=True), time.sleep(60)))\n"
    program += "import sys; from focal.commands.running import run_command; sys.exit(run_command(app, []))"
    paths = os.pathsep.join(path for path in sys.path if path)
    running = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"on\n"
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (code, b"interrupted; finished results are kept\n")


@pytest.mark.parametrize("left", ["nothing", "a dead owner", "a folder of an older version"])
def test_the_lock_of_a_set_up_dies_with_its_owner(left: str, tmp_path: Path) -> None:
    lock = tmp_path / ".venv.lock"
    if left == "a dead owner":
        gone = subprocess.Popen(["true"])
        gone.wait()
        lock.symlink_to(str(gone.pid))
    elif left != "nothing":
        lock.mkdir()
    words = ["sh", str(ROOT / "scripts" / "lock.sh"), ".venv.lock", str(os.getpid())]
    assert subprocess.run(words, cwd=tmp_path, timeout=30, check=False).returncode == 0
    assert str(lock.readlink()) == str(os.getpid())
    waiting = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE)
    assert waiting.stderr is not None
    assert b"another set-up is running" in waiting.stderr.readline()
    lock.unlink()
    assert waiting.wait(timeout=30) == 0


def test_a_half_made_environment_is_made_again(tmp_path: Path) -> None:
    """A python without pip, as a killed set-up leaves; the interpreter of the test stands for all that is run."""
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    log = tmp_path / "log"
    python = tmp_path / "python"
    copied = 'mkdir -p .venv/bin; cp "$0" .venv/bin/python'
    python.write_text(
        f'#!/bin/sh\necho "$*" >>{log}\ncase "$*" in "-m venv --clear .venv") {copied};; esac\n'
    )
    python.chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    broken = tmp_path / ".venv" / "bin" / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    words = ["sh", "scripts/setup_env.sh"]
    for _ in range(2):
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env={**os.environ, "FOCAL_PYTHON": str(python)},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert log.read_text().splitlines().count("-m venv --clear .venv") == 1
    assert (tmp_path / ".venv" / "focal-stamp").is_file()
    assert not (tmp_path / ".venv.lock").is_symlink()


@pytest.mark.parametrize("fidelity", ["parity", "cycle"])
def test_a_command_that_is_killed_leaves_a_study_that_goes_on(fidelity: str, tmp_path: Path) -> None:
    """Killed at moments that a seed gives; what the study then ends with is what an undisturbed one gives."""
    import random

    from bench import STUDY, trace_files

    seed = int(os.environ.get("FOCAL_HOSTILE_SEED", "0"))
    rng = random.Random(seed)
    (tmp_path / "root" / "focus_main").mkdir(parents=True)
    trace_files(tmp_path / "root")
    study = STUDY.replace("[1, 2]", f"{list(range(1, 17))}").replace(
        "fidelity: parity", f"fidelity: {fidelity}"
    )
    (tmp_path / "study.yaml").write_text(study)
    words = "focal sweep study.yaml --no-figures --output"
    start = time.monotonic()
    assert shell(f"{words} whole", tmp_path).returncode == 0
    taken = time.monotonic() - start
    for _ in range(3):
        shell(
            f"timeout -s KILL {taken * rng.uniform(0.3, 0.95):.2f} {words.replace('focal ', FOCAL + ' ')} cut",
            tmp_path,
        )
    two = shell(f"{words} cut & {words} cut; wait", tmp_path)
    assert two.returncode == 0, (seed, two.stderr)
    for name in ("results.parquet", "front.csv"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (
            seed,
            name,
        )
