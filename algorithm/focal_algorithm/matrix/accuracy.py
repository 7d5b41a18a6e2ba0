"""Rows that measure accuracy: what ``focal eval`` does, without its printed tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_algorithm.evaluation.lmms.options import Sweep
from focal_algorithm.evaluation.lmms.request import Request, set_environment
from focal_algorithm.evaluation.lmms.run_files import SAMPLES, SUMMARY
from focal_algorithm.matrix.rows import MatrixRow
from focal_algorithm.matrix.schema import Matrix
from focal_common.errors import ConfigError
from focal_common.spreading.shards import Shard

if TYPE_CHECKING:
    from focal_algorithm.evaluation.lmms.evaluation import Forget, Run


def evaluate_row(
    row: MatrixRow,
    matrix: Matrix,
    output: Path,
    forget: Forget | None = None,
    shard: Shard | None = None,
    first: int = 0,
    batch: str = "1",
) -> list[Run]:
    """Measure the accuracy of a row; tables and runs are written below ``output/accuracy``.

    Args:
        row: The row.
        matrix: Its matrix.
        output: Trace root.
        forget: See `focal_algorithm.evaluation.lmms.evaluation.evaluate`.
        shard: See there.
        first: See there.
        batch: See `focal_algorithm.matrix.work.MatrixTask`.

    Raises:
        FocalError: The dataset names no task, or the evaluation failed.
    """
    suite, model = row.suite, row.model
    if not row.dataset.task:
        raise ConfigError(
            f"{row.name}: dataset '{row.dataset_name}' has no 'task'; expected a name in lmms-eval"
        )
    set_environment(is_offline=not matrix.hub)
    arguments: dict[str, Any] = {"dtype": model.dtype, "frames": model.frames, "device": matrix.device}
    arguments |= {"revision": model.revision} if model.checkpoint and model.revision else {}
    arguments |= {} if model.checkpoint else {"size": model.size}
    arguments |= {"model": model.checkpoint or model.family, "trust_remote_code": model.trust_remote_code}
    arguments |= {"method": suite.method, "precision": suite.precision, "parameters": suite.parameters}
    arguments |= {"profile": "hub" if matrix.hub else "offline"}
    arguments |= {"batch_size": batch} if suite.precision == "float" else {}
    request = Request.read(
        arguments,
        tasks=(row.dataset.task,),
        output=output / "accuracy",
        limit=suite.samples or None,
        sweep=_sweep(row),
    )
    return request.run(forget, shard, first)


def _sweep(row: MatrixRow) -> Sweep | None:
    if row.variant is None:
        return None
    varied = row.variant.parameters
    if not varied:
        raise ConfigError(
            f"{row.name}: the variant has no 'parameters'; expected those that its sweep varies"
        )
    return Sweep("+".join(varied), (("x".join(map(str, varied.values())), dict(varied)),))


def accuracy_results(runs: Sequence[Run], output: Path) -> list[dict[str, Any]]:
    """Return one JSON-like record per line that a row has put into its table, and where to find it.

    Args:
        runs: Runs of one row.
        output: Trace root.
    """
    return [
        {
            "task": line["dataset"],
            **{
                name: None if line[name] is None else round(line[name], 2)
                for name in ("accuracy", "low", "high")
            },
            "unit": line["unit"],
            "questions": line["n"],
            "unparsable": line["unparsable"],
            "config_sha256": line["config_sha256"],
            "table": run.table.relative_to(output).as_posix(),
            "run": run.folder.relative_to(output).as_posix(),
        }
        for run in runs
        for line in run.rows
    ]


def is_written(results: Sequence[dict[str, Any]], output: Path) -> bool:
    """Return whether tables and runs still hold what `accuracy_results` said of a finished row."""
    return bool(results) and all(
        (output / one["run"] / SUMMARY).is_file()
        and (output / one["run"] / SAMPLES).is_file()
        and _holds(output / one["table"], one["config_sha256"])
        for one in results
    )


def _holds(table: Path, digest: str) -> bool:
    try:
        return digest in table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
