"""Do four shards on a real Slurm give the bytes of one process? It is started on loopback and stopped again.

Debian's packages slurm-wlm and munge, installed, or unpacked (``dpkg -x``) into the folder that FOCAL_SLURM_ROOT names.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from test_spread import MATRIX, PROGRAM, contents, environment

pytestmark = pytest.mark.external

_CONF = """
ClusterName=focal
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
{plugins}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A controller and one node in a folder."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self.folder, self.root = folder, root
        self.environment = environment(SLURM_CONF=str(folder / "slurm.conf"))
        if root is not None:
            libraries = root / "usr" / "lib" / "x86_64-linux-gnu"
            self.environment["LD_LIBRARY_PATH"] = f"{libraries}:{libraries / 'slurm-wlm'}"

    def path(self, name: str) -> str:
        folders = (
            [self.root / "usr" / one for one in ("sbin", "bin")] if self.root else ["/usr/sbin", "/usr/bin"]
        )
        for folder in folders:
            for word in (name, f"{name}-wlm"):
                if (Path(folder) / word).is_file():
                    return str(Path(folder) / word)
        pytest.skip(
            f"no {name}: install slurm-wlm and munge, or name their unpacked folder in FOCAL_SLURM_ROOT"
        )

    def call(self, name: str, *words: str) -> str:
        done = subprocess.run(
            [self.path(name), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        return done.stdout

    def start(self) -> None:
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir()
        munge = self.folder / "munge"
        munge.chmod(0o700)
        key = munge / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        names = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        self.call("munged", "--force", *(f"--{option}={munge / file}" for option, file in names.items()))
        plugins = f"PluginDir={self.root}/usr/lib/x86_64-linux-gnu/slurm-wlm" if self.root else ""
        text = _CONF.format(
            host=socket.gethostname().split(".")[0],
            user=subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip(),
            folder=self.folder,
            ports=_free_ports(),
            plugins=plugins,
            cpus=os.cpu_count(),
        )
        (self.folder / "slurm.conf").write_text(text)
        self.call("slurmctld")
        self.call("slurmd", "-d", self.path("slurmstepd"))
        deadline = time.monotonic() + 60
        while "idle" not in self.call("sinfo", "-h", "-o", "%t"):
            assert time.monotonic() < deadline, (self.folder / "slurmd.log").read_text()[-2000:]
            time.sleep(0.5)

    def stop(self) -> None:
        for name in ("slurmd.pid", "slurmctld.pid", "munge/pid"):
            with suppress(OSError, ValueError):
                pid = int((self.folder / name).read_text())
                os.kill(pid, signal.SIGTERM)
                for _ in range(100):
                    time.sleep(0.1)
                    os.kill(pid, 0)

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.call("squeue", "-h").strip():
            assert time.monotonic() < deadline, self.call("squeue")
            time.sleep(1)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    given = os.environ.get("FOCAL_SLURM_ROOT", "")
    (tmp_path / "slurm").mkdir()
    one = Slurm(tmp_path / "slurm", Path(given) if given else None)
    if shutil.which("id") is None:
        pytest.skip("no program id")
    try:
        one.start()
        yield one
    finally:
        one.stop()


def test_a_printed_script_runs_four_shards(slurm: Slurm, tmp_path: Path) -> None:
    profile = tmp_path / "matrix.yaml"
    profile.write_text(MATRIX)
    words = ["matrix", "--profile", str(profile), "--threads", "1", "--output"]
    subprocess.run([*PROGRAM, *words, str(tmp_path / "whole")], env=environment(), check=True)
    command = tmp_path / "bin" / "focal"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec {PROGRAM[0]} {PROGRAM[1]} '{PROGRAM[2]}' \"$@\"\n")
    command.chmod(0o755)
    slurm.environment["PATH"] = f"{command.parent}:{slurm.environment['PATH']}"
    output = tmp_path / "slurm_output"
    script = subprocess.run(
        [*PROGRAM, *words, str(output), "-j", "4", "--slurm-script"],
        env=environment(), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (tmp_path / "array.sh").write_text(script)
    output.mkdir()
    assert "Submitted batch job" in slurm.call("sbatch", str(tmp_path / "array.sh"))
    slurm.wait(300)
    logs = "".join(path.read_text() for path in sorted(output.glob("slurm-*.log")))
    for path in output.glob("slurm-*.log"):
        path.unlink()
    assert contents(output) == contents(tmp_path / "whole"), logs
