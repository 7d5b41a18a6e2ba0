"""Kills a matrix at random moments and asks whether it still ends with the bytes of an undisturbed one.

python benchmarks/kill_runs.py --kills 100 --seed 22                # each life goes on where the last one stopped
python benchmarks/kill_runs.py --workers 2 --every 10 --samples 60  # a worker of -j 2 is killed every tenth second

Each life is a fork of this process, which has imported torch already: kills fall into the work and not into imports.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from focal_algorithm.matrix.rows import chosen_rows
from focal_algorithm.matrix.run import MatrixRun
from focal_algorithm.matrix.schema import read_matrix
from focal_common.commit import verify_folder

MATRIX = """
new_tokens: 1
models:
  one: {{family: llava_onevision, frames: 2, size: tiny}}
  still: {{family: llava_video, frames: 2, size: tiny}}
datasets: {{photographs: {{modality: video}}}}
suites:
  focus: {{models: [one], datasets: [photographs], method: focus, samples: {samples}, masks: true}}
  cmc: {{models: [still], datasets: [photographs], method: cmc, samples: {samples}}}
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Everything but manifests, which hold a clock, and what is hidden."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "manifest" not in path.name and "/." not in f"/{path.relative_to(folder)}"
    }


def differing(folder: Path, whole: dict[str, bytes]) -> list[str]:
    """Names of files that differ or that only one side has."""
    found = contents(folder)
    return sorted(name for name in {*found, *whole} if found.get(name) != whole.get(name))


def run(profile: Path, output: Path) -> None:
    torch.set_num_threads(1)
    found = read_matrix(str(profile))
    failed = MatrixRun(found, output, is_resumed=True).run(chosen_rows(found, ""))
    assert not failed, [row.name for row in failed]


def killed_command(profile: Path, folder: Path, kills: int, chance: random.Random) -> None:
    whole = contents(folder / "whole")
    started = time.monotonic()
    run(profile, folder / "timed")
    length = time.monotonic() - started
    done = runs = lives = 0
    while done < kills:
        output = folder / "killed"
        shutil.rmtree(output, ignore_errors=True)
        runs += 1
        while True:
            lives += 1
            child = os.fork()
            if not child:
                try:
                    run(profile, output)
                    os._exit(0)
                finally:
                    os._exit(1)
            moment = time.monotonic() + chance.uniform(0, length)
            ended = 0
            while not ended and time.monotonic() < moment:
                ended, status = os.waitpid(child, os.WNOHANG)
                time.sleep(0.002)
            if not ended:
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            if code == 0:
                break
            assert code == -signal.SIGKILL, f"a life ended with code {code}"
            done += 1
        assert contents(output) == whole, f"run {runs} differs in {differing(output, whole)}"
        verify_folder(output)
        litter = [*output.rglob("*.part"), *output.glob(".*")]
        assert not litter, f"run {runs} leaves {litter}"
    print(
        f"{done} kills in {runs} runs ({lives} lives, {length:.1f} s undisturbed): each run ended with the bytes of an "
        "undisturbed one"
    )


def killed_workers(profile: Path, folder: Path, workers: int, every_s: float) -> None:
    output = folder / "killed"
    words = [
        sys.executable,
        "-c",
        "from focal.commands.main import main; main()",
        "matrix",
        "--profile",
        str(profile),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = subprocess.Popen([*words, "--output", str(output), "-j", str(workers)], env=environment)
    killed, ended = [], threading.Event()

    def kill() -> None:
        while not ended.wait(every_s):
            children = subprocess.run(
                ["ps", "-o", "pid=,args=", "--ppid", str(command.pid)],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.splitlines()
            pids = [int(line.split()[0]) for line in children if "spawn_main" in line]
            if pids:
                os.kill(pids[len(killed) % len(pids)], signal.SIGKILL)
                killed.append(pids[len(killed) % len(pids)])

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    started = time.monotonic()
    code = command.wait()
    ended.set()
    killer.join()
    assert code == 0, f"the command ended with code {code} after {len(killed)} kills"
    assert contents(output) == contents(folder / "whole"), "bytes differ"
    print(
        f"{len(killed)} workers of {workers} killed in {time.monotonic() - started:.0f} s: the bytes of an undisturbed "
        "run"
    )


def main() -> None:
    """Run what the words ask for; leave with 1 where a byte differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--every", type=float, default=10.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="focal_kills_") as name:
        folder = Path(name)
        profile = folder / "matrix.yaml"
        profile.write_text(MATRIX.format(samples=chosen.samples), encoding="utf-8")
        run(profile, folder / "whole")
        if chosen.workers:
            killed_workers(profile, folder, chosen.workers, chosen.every)
        else:
            killed_command(profile, folder, chosen.kills, random.Random(chosen.seed))


if __name__ == "__main__":
    main()
