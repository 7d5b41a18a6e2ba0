"""Does a spread run give the bytes of one process, and are shards that do not fit told in one sentence?"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from focal.commands import eval as eval_command
from focal.commands import matrix as matrix_command
from focal.commands import measure as measure_command
from focal.commands import merge as merge_command
from focal.commands import trace as trace_command
from focal.commands.running import run_command
from focal_algorithm.matrix.progress import RowProgress
from focal_common.errors import RunError
from focal_common.files import file_lock
from focal_common.spreading.claims import claimed
from focal_common.spreading.shards import Shard

MATRIX = """
models:
  one: {family: llava_onevision, frames: 2, size: tiny}
  still: {family: llava_video, frames: 2, size: tiny}
datasets: {photographs: {modality: video}}
suites:
  focus: {models: [one], datasets: [photographs], method: focus, samples: 3, masks: true}
  cmc: {models: [still], datasets: [photographs], method: cmc, samples: 2}
"""
TRACE = ("--size", "tiny", "--frames", "2", "--samples", "3", "--threads", "1")
MEASURE = (
    "--model",
    "llava",
    "--size",
    "tiny",
    "--task",
    "shapes-pope",
    "--questions",
    "14",
    "--samples",
    "3",
)
EVAL = ("--model", "llava", "--model_args", "size=tiny", "--tasks", "shapes-pope,shapes-mme", "--limit", "6")
PROGRAM = (sys.executable, "-c", "from focal.commands.main import main; main()")


def contents(folder: Path) -> dict[str, bytes]:
    """Everything but manifests and what else holds a clock, and what is hidden."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "manifest" not in path.name and "/." not in f"/{path.relative_to(folder)}"
    }


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "1", **more}


@pytest.fixture(autouse=True)
def words_of_the_command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `main` does with `sys.argv`; journals keep it for `focal merge`."""
    argv = ["focal trace"]
    monkeypatch.setattr(sys, "argv", argv)
    return argv


def focal(argv: list[str], verb: str, *words: str | Path) -> int:
    apps = {
        "trace": trace_command,
        "matrix": matrix_command,
        "measure": measure_command,
        "eval": eval_command,
    }
    text = [str(word) for word in words]
    argv[:] = [f"focal {verb}", *text]
    return run_command(
        {**{name: one.app for name, one in apps.items()}, "merge": merge_command.app}[verb], text
    )


def matrix_words(folder: Path) -> tuple[str | Path, ...]:
    profile = folder / "matrix.yaml"
    profile.write_text(MATRIX)
    return ("--profile", profile, "--threads", "1")


def words_of(verb: str, folder: Path) -> tuple[str | Path, ...]:
    return {"trace": TRACE, "measure": (*MEASURE, "--threads", "1")}.get(verb) or matrix_words(folder)


@pytest.mark.parametrize("verb", ["trace", "measure", "matrix"])
def test_shards_in_one_folder_and_merged_ones_give_the_bytes_of_one_process(
    verb: str, tmp_path: Path, words_of_the_command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv, words = words_of_the_command, words_of(verb, tmp_path)
    assert focal(argv, verb, *words, "--output", tmp_path / "whole") == 0
    for number in (2, 3, 1):
        assert focal(argv, verb, *words, "--output", tmp_path / "shared", "--shard", f"{number}/3") == 0
        assert (
            focal(argv, verb, *words, "--output", tmp_path / f"part{number}", "--shard", f"{number}/3") == 0
        )
    whole = contents(tmp_path / "whole")
    assert contents(tmp_path / "shared") == whole
    assert not (tmp_path / "shared" / ".journal").exists()
    capsys.readouterr()
    parts = [tmp_path / f"part{number}" for number in (1, 2, 3)]
    assert focal(argv, "merge", parts[0], parts[1], "--output", tmp_path / "early") == 2
    assert re.search(r"\d of \d samples are missing \(", capsys.readouterr().err)
    assert not (tmp_path / "early").exists()
    assert focal(argv, "merge", *parts, "--output", tmp_path / "merged") == 0
    assert contents(tmp_path / "merged") == whole


def test_an_evaluation_in_shards_gives_the_samples_of_one_process(
    tmp_path: Path, words_of_the_command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lmms_eval")
    argv, words = words_of_the_command, (*EVAL, "--threads", "1")
    assert focal(argv, "eval", *words, "--output_path", tmp_path / "whole") == 0
    for number in (1, 2):
        assert (
            focal(argv, "eval", *words, "--output_path", tmp_path / "shared", "--shard", f"{number}/2") == 0
        )
        part = tmp_path / f"part{number}"
        assert focal(argv, "eval", *words, "--output_path", part, "--shard", f"{number}/2") == 0
    assert focal(argv, "merge", tmp_path / "part1", "--output", tmp_path / "early") == 2
    assert "shard 2/2 is missing" in " ".join(capsys.readouterr().err.split())
    parts = [tmp_path / "part1", tmp_path / "part2"]
    assert focal(argv, "merge", *parts, "--output", tmp_path / "merged") == 0
    (whole,) = (tmp_path / "whole").glob("runs/*/samples.jsonl")
    for name in ("shared", "merged"):
        (samples,) = (tmp_path / name).glob("runs/*/samples.jsonl")
        assert samples.read_bytes() == whole.read_bytes()
        assert len(list((tmp_path / name).glob("answers/*.jsonl"))) == 1
        rows = [json.loads(one) for one in (tmp_path / name).glob("answers/*.jsonl").__next__().open()]
        assert len(rows) == 13  # a heading and every question once


def test_parts_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path: Path, words_of_the_command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = words_of_the_command
    for number in (1, 2):
        part = tmp_path / f"part{number}"
        assert focal(argv, "trace", *TRACE, "--seed", "0", "--output", part, "--shard", f"{number}/2") == 0
    (journal,) = (tmp_path / "part2" / ".journal").iterdir()
    capsys.readouterr()

    def refused(message: str, *folders: Path) -> None:
        assert focal(argv, "merge", *folders, "--output", tmp_path / "out") == 2
        error = " ".join(capsys.readouterr().err.split())
        assert message in error, error
        assert not (tmp_path / "out").exists()

    refused("holds no finished samples of a shard", tmp_path / "part1", tmp_path)
    # A worker with other weights, and one with another version.
    record = json.loads((journal / "run.json").read_text())
    for name, message in (("weights", "weights.seed is"), ("versions", "versions.torch is")):
        other = json.loads(json.dumps(record))
        other["identity"][name][message.split(".")[1].split()[0]] = "other"
        (journal / "run.json").write_text(json.dumps(other))
        refused(message, tmp_path / "part1", tmp_path / "part2")
        assert focal(argv, "trace", *TRACE, "--output", tmp_path / "part2", "--shard", "1/2") == 2
        assert "are not of one run" in " ".join(capsys.readouterr().err.split())
    (journal / "run.json").write_text(json.dumps(record))
    # Shards that overlap pass where they are equal, and are refused where they are not.
    (first,) = (tmp_path / "part1" / ".journal").iterdir()
    for path in first.glob("000000*"):
        shutil.copyfile(path, journal / path.name)
    damaged = journal / "000000.records.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    refused(
        "000000.records.parquet: not the file that 000000.manifest.json vouches for",
        tmp_path / "part1",
        tmp_path / "part2",
    )
    shutil.copyfile(first / "000000.records.parquet", damaged)
    assert focal(argv, "merge", tmp_path / "part1", tmp_path / "part2", "--output", tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shard", "3/2"), "shard 3/2: expected a number from 1 to 2 (--shard)"),
        (("--shard", "half"), "expected NUMBER/COUNT, such as 2/8"),
        (("--shard", "1/2", "-j", "2"), "a shard is the work of one process"),
        (("-j", "0"), "--jobs 0: expected at least 1"),
        (("--devices", "0-7"), "there is no CUDA device"),
        (("--devices", "1-0"), "expected numbers such as 0-7"),
        (("--devices", "0,0"), "a device is named twice"),
        (("--scheduler", "pbs"), "expected slurm"),
        (("--dask", "tcp://127.0.0.1:1", "-j", "2"), "no Dask scheduler answers"),
        (("--scheduler", "slurm", "--dask", "local"), "expected one of them"),
        (("--scheduler", "slurm", "-j", "2"), "jobs of Slurm need"),
        (("--device", "cuda:99"), "cuda:99"),
        (("--device", "card"), "no torch device"),
        (("--shard", "１/２"), "expected NUMBER/COUNT"),
        (("--devices", "０"), "expected numbers such as 0-7"),
        (("--slurm-script",), "needs -j"),
        (("--job", "gpu", "-j", "2"), "expected name=value"),
        (("--match", "tokens", "8", "-j", "2"), "give the parameter with --set"),
    ],
)
def test_wrong_spreading_is_one_sentence_before_work(
    words: tuple[str, ...],
    message: str,
    tmp_path: Path,
    words_of_the_command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("focal_common.spreading.dask._CONNECT_TIMEOUT_S", 0.3)
    assert focal(words_of_the_command, "trace", *TRACE, "--output", tmp_path / "out", *words) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert message in said[0]
    assert not (tmp_path / "out").exists()


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / ".journal" / "run"
    with (
        claimed(folder),
        pytest.raises(RunError, match="another command is working on this run"),
        claimed(folder),
    ):
        pass
    with claimed(folder, Shard(1, 2)):
        with claimed(folder, Shard(2, 2)):
            pass
        for shard, message in (
            (Shard(1, 2), "another command is working on shard 1/2"),
            (Shard(2, 3), "is dealt out in another number of shards"),
            (None, "another command is working on this run"),
        ):
            with pytest.raises(RunError, match=message), claimed(folder, shard):
                pass
    with claimed(folder, Shard(2, 3)):
        pass
    assert not list(tmp_path.iterdir())


def test_ranks_of_torchrun_are_shards(
    tmp_path: Path, words_of_the_command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert focal(words_of_the_command, "trace", *TRACE, "--output", tmp_path / "whole") == 0
    for rank in ("1", "0"):
        for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", "2")):
            monkeypatch.setenv(name, value)
        assert focal(words_of_the_command, "trace", *TRACE, "--output", tmp_path / "ranks") == 0
        assert "RANK" not in os.environ
    assert contents(tmp_path / "ranks") == contents(tmp_path / "whole")


def test_a_slurm_script_repeats_the_command_as_an_array(
    tmp_path: Path, words_of_the_command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = (
        "--profile",
        "my matrix.yaml",
        "-j4",
        "--slurm-script",
        "--job",
        "gres=gpu:1",
        "--output",
        "out put",
    )
    assert focal(words_of_the_command, "matrix", *words) == 0
    script = capsys.readouterr().out
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert "#SBATCH --array=1-4\n" in script
    assert "#SBATCH --gres=gpu:1\n" in script
    last = script.splitlines()[-1]
    assert (
        last
        == "focal matrix --profile 'my matrix.yaml' --output 'out put' --shard \"$SLURM_ARRAY_TASK_ID/4\""
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4, 8])
def test_processes_give_the_bytes_of_one(count: int, tmp_path: Path) -> None:
    words = [*PROGRAM, "matrix", *map(str, matrix_words(tmp_path))]
    for name, more in (("whole", []), ("spread", ["-j", str(count)])):
        subprocess.run([*words, "--output", str(tmp_path / name), *more], env=environment(), check=True)
    assert contents(tmp_path / "spread") == contents(tmp_path / "whole")


def test_samples_are_dropped_by_one_shard_at_a_time(
    tmp_path: Path, words_of_the_command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that find a row done at once would remove the folder from under each other."""
    drop, seen = RowProgress.drop_samples, []

    def watched(self: RowProgress) -> None:
        with pytest.raises(RunError, match="held"), file_lock(lock, "held", is_temporary=True):
            pass
        seen.append(self.folder)
        drop(self)

    output = tmp_path / "out"
    lock = output / ".journal" / "matrix.finish.lock"
    monkeypatch.setattr(RowProgress, "drop_samples", watched)
    assert focal(words_of_the_command, "matrix", *matrix_words(tmp_path), "--output", output) == 0
    assert seen


SBATCH = """#!/bin/sh
# Runs what would be queued at once, as a process of its own, and says its number as Slurm does.
for script; do :; done
setsid sh "$script" > "{log}.$$" 2>&1 &
echo $! >> "{log}"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job; do kill -- "-$job" 2>/dev/null; done
exit 0
"""


@pytest.mark.slow
def test_jobs_that_dask_jobqueue_submits_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    """Slurm is pretended: ``sbatch`` starts the job script of dask-jobqueue at once."""
    pytest.importorskip("dask_jobqueue")
    programs, log = tmp_path / "programs", tmp_path / "jobs"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH.format(log=log)), ("scancel", SCANCEL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    places = environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}")
    words = [*PROGRAM, "matrix", *map(str, matrix_words(tmp_path))]
    subprocess.run([*words, "--output", tmp_path / "whole"], env=places, check=True, capture_output=True)
    spread = ["--scheduler", "slurm", "-j", "2", "--job", "memory=2GB", "--job", "interface=lo"]
    spread += ["--job", f"local_directory={tmp_path}", "--job", "worker_extra_args=--no-dashboard"]
    done = subprocess.run(
        [*words, "--output", tmp_path / "jobs2", *spread], env=places, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "jobs2") == contents(tmp_path / "whole")
    assert len(log.read_text().split()) == 2
    for job in log.read_text().split():  # the workers ended with the command
        with pytest.raises(ProcessLookupError):
            os.killpg(int(job), 0)


@pytest.mark.slow
def test_torchrun_and_a_local_dask_cluster_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    words = ["trace", *TRACE, "--output"]
    subprocess.run([*PROGRAM, *words, str(tmp_path / "whole")], env=environment(), check=True)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "-m",
        "focal.commands.main",
    ]
    script = tmp_path / "focal_main.py"
    script.write_text("from focal.commands.main import main\nmain()\n")
    launch = [*launch[:-2], str(script)]
    subprocess.run([*launch, *words, str(tmp_path / "ranks")], env=environment(), check=True)
    dask = [*PROGRAM, *words, str(tmp_path / "dask"), "--dask", "local", "-j", "2"]
    subprocess.run(dask, env=environment(), check=True)
    whole = contents(tmp_path / "whole")
    assert contents(tmp_path / "ranks") == whole
    assert contents(tmp_path / "dask") == whole


def test_the_size_of_a_batch_changes_no_byte(
    tmp_path: Path, words_of_the_command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = words_of_the_command
    words = ("--model", "shapes_image", "--task", "shapes-pope", "--questions", "14", "--samples", "2")
    words += ("--method", "divprune", "--threads", "1")
    for batch in ("1", "3", "auto"):
        assert focal(argv, "measure", *words, "--batch", batch, "--output", tmp_path / batch) == 0
        assert contents(tmp_path / batch) == contents(tmp_path / "1")
    folder = tmp_path / "m"
    folder.mkdir()
    assert focal(argv, "matrix", *matrix_words(folder), "--batch", "2", "--output", tmp_path / "out") == 2
    assert "rows that trace take one prompt at a time" in " ".join(capsys.readouterr().err.split())
    pytest.importorskip("lmms_eval")
    asked = ("--model", "shapes_image", "--tasks", "shapes-pope,shapes-mme", "--limit", "10")
    found = []
    for batch in ("1", "4", "auto"):
        output = tmp_path / f"eval{batch}"
        assert (
            focal(argv, "eval", *asked, "--method", "focus", "--batch", batch, "--output_path", output) == 0
        )
        (samples,), (answers,) = output.glob("runs/*/samples.jsonl"), output.glob("answers/*.jsonl")
        rows = [json.loads(line) for line in answers.read_text().splitlines()]
        found.append(
            (samples.read_bytes(), answers.name, [(row.get("key"), row.get("answer")) for row in rows])
        )
        is_batched = "questions in batches were asked again alone" in " ".join(
            capsys.readouterr().err.split()
        )
        assert is_batched == (batch != "1")
    assert found[0] == found[1] == found[2]
