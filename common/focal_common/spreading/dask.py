"""Does units of work on a Dask cluster: local processes, workers behind a scheduler anywhere, or jobs of Slurm."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_common.spreading.engines import U, Work

_CONNECT_TIMEOUT_S = 20
_RETRIES = 3
SLURM = "slurm"
"""In place of an address: workers are jobs of Slurm, started by dask-jobqueue."""


class DaskEngine:
    """Units as Dask tasks; Dask gives those of a lost worker to another one.

    Args:
        workers: Processes of a local cluster, or jobs of Slurm; with an address, parts of the work if more than one.
        scheduler: Address of a running scheduler, such as ``tcp://host:8786``, or ``slurm``; a local cluster if None.
            Workers must see the folders under the same paths.
        job: Of ``slurm``: keyword arguments of ``dask_jobqueue.SLURMCluster``, such as ``queue`` or ``memory``.

    Raises:
        UnsupportedError: Dask or dask-jobqueue is not installed.
        ConfigError: The scheduler does not answer, or an argument is unknown.
    """

    def __init__(
        self, workers: int, scheduler: str | None = None, job: Mapping[str, Any] | None = None
    ) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise UnsupportedError(
                "Dask clusters need the package distributed; install focal-vlm[sweep]",
                about=("dask", "scheduler"),
            ) from error
        self._cluster: Any = None
        self._workers = 0 if scheduler not in (None, SLURM) and workers < 2 else workers
        if scheduler is None:
            self._cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.ERROR,
            )
        elif scheduler == SLURM:
            self._cluster = _slurm_cluster(workers, dict(job or {}))
        try:
            self._client = Client(self._cluster or scheduler, timeout=_CONNECT_TIMEOUT_S)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{scheduler}: no Dask scheduler answers; expected an address such as tcp://host:8786, or {SLURM}",
                about=("scheduler",),
            ) from error

    @property
    def workers(self) -> int:
        """Workers that were asked for, or that a running cluster has."""
        return self._workers or max(1, len(self._client.nthreads()))

    def run(self, work: Work, context: Any, units: Sequence[U]) -> Iterator[tuple[U, Any]]:
        """Yield units as they are done.

        Raises:
            RunError: A unit was lost with its worker again and again.
        """
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError

        futures = {
            self._client.submit(work, context, unit, pure=False, retries=_RETRIES): unit for unit in units
        }
        for future in as_completed(list(futures)):
            try:
                result = future.result()
            except KilledWorker as error:
                raise RunError(
                    "workers were lost again and again on one part of the work; what was finished is kept"
                ) from error
            except (OSError, FutureCancelledError) as error:
                raise RunError(
                    "the Dask scheduler was lost; what was finished is kept, so start the command again"
                ) from error
            yield futures[future], result

    def close(self) -> None:
        """Leave the cluster; end it if it is our own."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


def require_slurm() -> None:
    """Refuse, before work, jobs of Slurm where they cannot be submitted.

    Raises:
        UnsupportedError: dask-jobqueue is not installed, or there is no ``sbatch``.
    """
    lacking = ""
    if find_spec("dask_jobqueue") is None:
        lacking = "dask-jobqueue, which is not installed (pip install dask-jobqueue)"
    elif shutil.which("sbatch") is None:
        lacking = "the program sbatch, which is not on the PATH; start the command where jobs are submitted"
    if lacking:
        raise UnsupportedError(
            f"jobs of Slurm need {lacking}; or have a batch script printed",
            about=("scheduler", "slurm_script"),
        )


def _slurm_cluster(workers: int, job: dict[str, Any]) -> Any:
    require_slurm()
    from dask_jobqueue import SLURMCluster

    settings = {"cores": 1, "processes": 1, "memory": "16GB"} | job
    try:
        cluster = SLURMCluster(**settings)
        cluster.scale(jobs=workers)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"Slurm does not take the jobs ({reason})", about=("scheduler",)) from error
    return cluster
