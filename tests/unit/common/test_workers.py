"""Does a worker end when the command that started it is killed?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

_COMMAND = """
import multiprocessing, os, sys, time
from focal_common.workers import end_with_parent

def work():
    end_with_parent()
    print(os.getpid(), flush=True)
    time.sleep(120)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work).start()
    time.sleep(120)
"""


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_worker_ends_with_a_killed_command(tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(_COMMAND)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        worker = int(command.stdout.readline())
        assert is_running(worker)
        command.send_signal(signal.SIGKILL)
        command.wait()
        for _ in range(600):
            if not is_running(worker):
                return
            time.sleep(0.1)
        os.kill(worker, signal.SIGKILL)
    raise AssertionError("the worker outlived its command by a minute")
