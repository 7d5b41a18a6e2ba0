"""Rows that measure accuracy: handed to ``focal eval``."""

from __future__ import annotations

import json
from pathlib import Path

from focal_algorithm.matrix.rows import MatrixRow
from focal_algorithm.matrix.schema import Matrix
from focal_common.command import VERBS
from focal_common.errors import ConfigError, RunError

__all__ = ["evaluate_row"]


def evaluate_row(row: MatrixRow, matrix: Matrix, output: Path) -> None:
    """Measure the accuracy of a row; ``focal eval`` writes its tables below ``output/accuracy``.

    Raises:
        ConfigError: The dataset names no task.
        RunError: The evaluation failed.
    """
    suite, model = row.suite, row.model
    if not row.dataset.task:
        raise ConfigError(
            f"{row.name}: dataset '{row.dataset_name}' has no 'task'; expected a name in lmms-eval"
        )
    arguments = {"dtype": model.dtype, "frames": model.frames, "device": matrix.device}
    arguments |= {"revision": model.revision} if model.checkpoint and model.revision else {}
    arguments |= {} if model.checkpoint else {"size": model.size}
    arguments |= {} if suite.precision == "float" else {"precision": suite.precision}
    words = ["--tasks", row.dataset.task, "--model", model.checkpoint or model.family]
    words += ["--method", suite.method, "--output_path", str(output / "accuracy")]
    words += ["--model_args", ",".join(f"{name}={value}" for name, value in arguments.items())]
    words += ["--profile", "hub" if matrix.hub else "offline"]
    words += ["--limit", str(suite.samples)] if suite.samples else []
    words += ["--trust-remote-code"] if model.trust_remote_code else []
    for name, value in suite.parameters.items():
        words += ["--set", f"{name}={json.dumps(value)}"]
    if row.variant is not None:  # a table of its own, dse_FIELD_accuracy.csv
        varied = row.variant.parameters
        values = "x".join(map(json.dumps, varied.values()))
        if not varied or set(values) & set(",[{"):
            raise ConfigError(
                f"{row.name}: accuracy takes variants with plain numbers or words, got {varied}"
            )
        words += ["--sweep", f"{'+'.join(varied)}={values}"]
    code = VERBS.load("eval")(args=words, standalone_mode=False)
    if code:
        raise RunError(f"{row.name}: focal eval left with exit code {code}")
