"""Accuracy through lmms-eval: an out-of-tree model and local tasks for it; nothing of it is vendored.

Importing this package imports neither lmms-eval nor torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from focal_common.errors import UnsupportedError

__all__ = ["LOCAL_DATA", "MODEL_ID", "TASK_FOLDER", "local_tasks", "manifests", "require_lmms_eval"]

MODEL_ID = "focal"
"""Name of our model in lmms-eval."""

TASK_FOLDER = Path(__file__).parent / "tasks"
"""Local task files, for the include path of lmms-eval."""


LOCAL_DATA = "focal"
"""What our task files have as ``dataset_path``: their pictures are generated."""


def local_tasks() -> dict[str, Path]:
    """Return our own task files by the name of the task."""
    return {path.stem.replace("_", "-"): path for path in sorted(TASK_FOLDER.glob("*.yaml"))}


def manifests() -> Any:
    """Register our model with lmms-eval (entry-point group ``lmms_eval.models``)."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest(model_id=MODEL_ID, simple_class_path="focal_algorithm.evaluation.lmms.model.FocalModel")
    ]


def require_lmms_eval() -> None:
    """Raise `UnsupportedError` where lmms-eval is not installed."""
    if find_spec("lmms_eval") is None:
        raise UnsupportedError("lmms-eval is not installed; run 'sh scripts/setup_lmms_eval.sh'")
