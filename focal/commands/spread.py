"""Options that spread a run over workers, the same for every verb that asks a model, and what they do."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError
from focal_common.reading.values import whole_number
from focal_common.spreading.engines import ProcessEngine, Work, closing_engine
from focal_common.spreading.shards import Shard, read_devices, read_rank, read_shard

_POLL_S = 1.0
_RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_WITH_VALUE = ("--shard", "--jobs", "-j", "--devices", "--dask", "--scheduler", "--job")


Device = Annotated[
    str,
    typer.Option(
        "--device",
        "--device-map",
        help="torch device; auto, balanced or sequential spread a checkpoint over all GPUs and the host, and so does "
        "a JSON object of devices by module.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        "--quantize",
        help="Of linear layers: float, int8 (8bit; bitsandbytes on CUDA, torch on a CPU) or nf4 (4bit; bitsandbytes).",
    ),
]


@dataclass(frozen=True)
class Spread:
    """Where a run is done.

    Attributes:
        shard: Part of it that this process does; None where it does all, or leaves it to workers.
        jobs: Workers; 1 for this process alone.
        devices: CUDA device of each worker; empty where they have none of their own.
        scheduler: Address of a Dask scheduler, ``local``, ``slurm``; empty for processes of this machine.
        job: Settings of a job of Slurm.
    """

    shard: Shard | None
    jobs: int
    devices: tuple[str, ...]
    scheduler: str
    job: tuple[tuple[str, str], ...]

    @classmethod
    def read(
        cls, shard: str, jobs: int, devices: str, dask: str, scheduler: str, job: Sequence[str]
    ) -> Spread:
        """Check what the command line says, and ``torchrun`` or ``accelerate launch`` in the environment.

        Raises:
            ConfigError: An option makes no sense, contradicts another, or names a device that is not there.
        """
        chosen = read_shard(shard, os.environ)
        if chosen is not None and not shard and os.environ.get("LOCAL_RANK"):
            import torch

            local = read_rank(os.environ, "LOCAL_RANK")
            if torch.cuda.is_available():
                torch.cuda.set_device(local)
        for name in (
            _RANKS
        ):  # nothing is exchanged between shards; libraries that look here would wait for the others
            os.environ.pop(name, None)
        if jobs < 1:
            raise ConfigError(f"--jobs {jobs}: expected at least 1")
        numbers = read_devices(devices)
        if dask and scheduler:
            raise ConfigError("--dask and --scheduler both name a cluster; expected one of them")
        if scheduler not in ("", "slurm"):
            raise ConfigError(
                f"--scheduler '{scheduler}': expected slurm; an address of a Dask scheduler goes to --dask"
            )
        if chosen is not None and (jobs > 1 or numbers or dask or scheduler):
            raise ConfigError(
                "a shard is the work of one process; expected no -j, --devices, --dask or --scheduler beside it"
            )
        if numbers and (dask or scheduler):
            raise ConfigError(
                "--devices are those of this machine; expected no --dask or --scheduler beside them"
            )
        if numbers:
            _check_devices(numbers)
        if scheduler:
            from focal_common.spreading.dask import require_slurm

            require_slurm()
        words = [_pair(one) for one in job]
        return cls(chosen, len(numbers) or jobs, numbers, dask or scheduler, tuple(words))

    @property
    def is_spread(self) -> bool:
        """Whether workers do the run."""
        return self.jobs > 1 or bool(self.devices) or bool(self.scheduler)

    def device(self, given: str) -> str:
        """Return the device of the run: CUDA where devices are named, else what was given.

        Raises:
            FocalError: It is not here; one of a cluster is looked for by its workers.
        """
        if given != "cpu" and not self.scheduler:
            from focal_algorithm.checkpoints.places import check_device

            check_device(given)
        return "cuda" if self.devices and given == "cpu" else given

    def run(
        self, work: Work, context: Any, finished: Callable[[], int], total: int | None, label: str
    ) -> list[Any]:
        """Let workers do every shard of a run, and return what the shards gave, in no order.

        Args:
            work: Does one shard: takes ``context`` and the shard.
            context: What every shard needs to know; can be pickled.
            finished: Counts finished units, whoever finished them.
            total: Units of the run; None if unknown.
            label: In front of the progress bar.
        """
        engine = self._engine(finished)
        count = engine.workers
        shards = [Shard(number, count) for number in range(1, count + 1)]
        with closing_engine(engine), _watched(finished, total, label):
            return [result for _, result in engine.run(work, context, shards)]

    def _engine(self, finished: Callable[[], int]) -> Any:
        if not self.scheduler:
            environments = [{"CUDA_VISIBLE_DEVICES": one} for one in self.devices]
            return ProcessEngine(self.jobs, environments, finished)
        from focal_common.spreading.dask import DaskEngine

        return DaskEngine(
            self.jobs, None if self.scheduler == "local" else self.scheduler, _arguments(self.job)
        )


_SHARD = "Only every N-th question, from the I-th; the last shard writes the results."
_JOB = "Of --scheduler slurm, as dask-jobqueue names it, or of --slurm-script, as sbatch does: name=value."
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "shard": (Annotated[str, typer.Option("--shard", metavar="I/N", help=_SHARD)], ""),
    "jobs": (
        Annotated[
            int, typer.Option("--jobs", "-j", help="Worker processes, on this machine or of a cluster.")
        ],
        1,
    ),
    "devices": (
        Annotated[str, typer.Option(help="A worker on each of these CUDA devices, such as 0-7.")],
        "",
    ),
    "dask": (
        Annotated[
            str, typer.Option(help="Workers of a Dask cluster: the address of its scheduler, or local.")
        ],
        "",
    ),
    "scheduler": (
        Annotated[str, typer.Option(help="slurm: -j workers as jobs that dask-jobqueue submits.")],
        "",
    ),
    "job": (Annotated[list[str] | None, typer.Option("--job", help=_JOB)], None),
    "slurm_script": (
        Annotated[
            bool,
            typer.Option(
                "--slurm-script", help="Print a Slurm array of -j shards to read and submit, and leave."
            ),
        ],
        False,
    ),
}
"""By parameter: annotation for Typer, and default."""


def spread_options(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options that spread a run: Typer sees them in place of its parameter ``spread``, a `Spread`.

    Where ``--slurm-script`` is given, the script is printed and the verb is not called.
    """

    @wraps(verb)
    def with_options(**given: Any) -> None:
        own = {name: given.pop(name) for name in _OPTIONS}
        job = own.pop("job") or []
        if own.pop("slurm_script"):
            _print_slurm_script(own["jobs"], job, given.get("output") or given["output_path"])
            return
        verb(**given, spread=Spread.read(**own, job=job))

    shown = inspect.signature(verb, eval_str=True).parameters.values()
    ours = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, (kind, default) in _OPTIONS.items()
    ]
    place = [one.name for one in shown].index("spread")
    every = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in shown]
    every[place : place + 1] = ours
    with_options.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    with_options.__annotations__ = {one.name: one.annotation for one in every}
    return with_options


def _arguments(job: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return settings of a job as dask-jobqueue takes them: numbers, and lists of what may be said several times."""
    found: dict[str, Any] = {}
    for name, value in job:
        if name in ("job_extra_directives", "job_script_prologue", "worker_extra_args"):
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
            with suppress(ValueError):
                found[name] = whole_number(value)
    return found


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--job '{text}': expected name=value, such as queue=gpu")
    return name.strip(), value.strip()


def _check_devices(numbers: Sequence[str]) -> None:
    import torch

    count = torch.cuda.device_count()
    for number in numbers:
        if int(number) >= count:
            there = f"0 to {count - 1}" if count else "none"
            raise ConfigError(f"--devices: there is no CUDA device {number} here; there: {there}")


def without_spread(words: Sequence[str]) -> list[str]:
    """Return the words of a command without the options that spread it."""
    kept: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if name in _WITH_VALUE:
            if not equals:
                next(left, None)
        elif word != "--slurm-script" and not re.fullmatch("-j[0-9]+", word):
            kept.append(word)
    return kept


def _print_slurm_script(jobs: int, job: Sequence[str], output: Path) -> None:
    """Print the command that is being run as an array of shards, without the options that spread it."""
    if jobs < 2:
        raise ConfigError("--slurm-script needs -j, the number of shards")
    kept = [shlex.quote(word) for word in without_spread(sys.argv[1:])]
    program = sys.argv[0].split() if sys.argv[0].startswith("focal ") else ["focal"]
    output_console().print(
        _slurm_script([*program, *kept], jobs, str(output), dict(map(_pair, job))), markup=False, end=""
    )


def _slurm_script(words: list[str], count: int, output: str, directives: Mapping[str, str]) -> str:
    """Return a batch script that a person can read and submit: an array of shards, each of which may be requeued.

    Args:
        words: Command that takes ``--shard``, quoted for a shell.
        count: Shards.
        output: Folder of the results, for the log files.
        directives: Further lines ``#SBATCH --name=value``; an empty value leaves out the sign.
    """
    lines = [
        "#!/bin/sh",
        "# Shards of one run. Submit with: sbatch THIS_FILE. A lost task is requeued and goes on.",
    ]
    own = {"job-name": "focal", "array": f"1-{count}", "output": f"{output}/slurm-%A_%a.log", "requeue": ""}
    own |= dict(directives)
    lines += [f"#SBATCH --{name}" + (f"={value}" if value else "") for name, value in own.items()]
    lines += [
        "set -eu",
        "# The nodes share the output folder: the task that finishes last puts the result together.",
        f'{" ".join(words)} --shard "$SLURM_ARRAY_TASK_ID/{count}"',
    ]
    return "\n".join(lines) + "\n"


@contextmanager
def _watched(finished: Callable[[], int], total: int | None, label: str) -> Iterator[None]:
    """Show finished units of all workers, with the time that is left, while a block runs; silent without a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = errors_console()
    if not console.is_terminal:
        yield
        return
    with Progress(*columns, console=console, transient=True, speed_estimate_period=600) as bar:
        task, ended = bar.add_task(label, total=total, completed=finished()), threading.Event()

        def watch() -> None:
            while not ended.wait(_POLL_S):
                bar.update(task, completed=finished())

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def print_unfinished(
    shard: Shard | None, output: Path, done: int | None = None, total: int | None = None
) -> None:
    """Say that a shard is done and others are not."""
    count = "" if done is None else f"; {done} of {total} of the run are finished"
    output_console().print(
        f"shard {shard}: finished{count}. The last shard that works in {output} writes the results; shards in other "
        "folders are put together by focal merge",
        markup=False,
    )
