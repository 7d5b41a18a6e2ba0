"""Evaluates chunks on a Dask cluster: local processes, or workers behind a scheduler anywhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_simulator.sweep.store import Chunk
from focal_simulator.sweep.workers import WorkerContext, evaluate_chunk

_CONNECT_TIMEOUT_S = 20
_RETRIES = 3


class DaskEngine:
    """Chunks as Dask tasks; Dask gives the chunks of a lost worker to another one.

    Args:
        workers: Processes of a local cluster, if no scheduler is given.
        scheduler: Address of a running scheduler, such as ``tcp://host:8786``; its workers must see the output
            folder and the trace root under the same paths (a Slurm cluster by dask-jobqueue does).

    Raises:
        UnsupportedError: Dask is not installed.
        ConfigError: The scheduler does not answer.
    """

    def __init__(self, workers: int, scheduler: str | None = None) -> None:
        try:
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise UnsupportedError(
                "Dask clusters need the package distributed; install focal-vlm[sweep]",
                about=("dask", "scheduler"),
            ) from error
        self._cluster: Any = None
        if scheduler is None:
            self._cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.ERROR,
            )
        try:
            self._client = Client(self._cluster or scheduler, timeout=_CONNECT_TIMEOUT_S)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{scheduler}: no Dask scheduler answers; expected an address such as tcp://host:8786",
                about=("scheduler",),
            ) from error

    def run(self, context: WorkerContext, chunks: Sequence[Chunk]) -> Iterator[Chunk]:
        """Yield chunks as they finish.

        Raises:
            RunError: A chunk was lost with its worker again and again.
        """
        from distributed import KilledWorker, as_completed
        from distributed.client import FutureCancelledError

        futures = {
            self._client.submit(evaluate_chunk, context, chunk, pure=False, retries=_RETRIES): chunk
            for chunk in chunks
        }
        for future in as_completed(list(futures)):
            try:
                future.result()
            except KilledWorker as error:
                raise RunError(
                    "workers were lost again and again on one chunk; finished points are kept"
                ) from error
            except (OSError, FutureCancelledError) as error:
                raise RunError(
                    "the Dask scheduler was lost; finished points are kept, so start the command again"
                ) from error
            yield futures[future]

    def close(self) -> None:
        """Leave the cluster; end it if it is our own."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
