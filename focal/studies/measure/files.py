"""The files of a measurement beside its trace: ``measured.json`` and ``answers.csv`` in the trace root."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from focal.studies.measure.settings import MeasureSettings
from focal_algorithm.evaluation.offline.evaluator import Reply
from focal_common.files import atomic_write_text

__all__ = ["ANSWERS", "MEASURED", "write_measured"]

MEASURED = "measured.json"
"""Key ``metrics``: ``accuracy`` with the ends of its 95 % interval (``accuracy_low``, ``accuracy_high``), in percent;
``questions``; ``kept_tokens``, visual tokens alive on the average over layers, and ``vector_sparsity``, zero or
similar vectors weighted by work, both in percent of the traced samples. The other keys say how they were measured."""

ANSWERS = "answers.csv"
"""One row per question: picture, kind, expected, said, right (0 or 1)."""


def write_measured(
    root: Path, settings: MeasureSettings, metrics: Mapping[str, float], replies: Sequence[Reply]
) -> None:
    """Write both files, the metrics last; equal measurements give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "kind", "expected", "said", "right"])
    for one in replies:
        writer.writerow([one.picture, one.kind, one.target, one.answer, int(one.is_right)])
    atomic_write_text(root / ANSWERS, text.getvalue())
    content = {
        "origin": "measured",
        "metrics": dict(metrics),
        "task": settings.task,
        "split": settings.split,
        "data_seed": settings.data_seed,
        "traced_samples": settings.samples,
        "identity": settings.identity(),
    }
    atomic_write_text(root / MEASURED, json.dumps(content, indent=1, sort_keys=True) + "\n")
