"""Procedural benchmarks: pictures, questions and answers from a seed, without any download."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from focal_common.registry import Registry

if TYPE_CHECKING:
    from focal_algorithm.tasks.sample import TaskSample

__all__ = ["TASKS"]

TASKS: Registry[Callable[..., TaskSample]] = Registry(
    "task",
    {
        "shapes-fine": "focal_algorithm.tasks.shapes_fine:shapes_fine_sample",
        "shapes-mme": "focal_algorithm.tasks.shapes_mme:shapes_mme_sample",
        "shapes-pope": "focal_algorithm.tasks.shapes_pope:shapes_pope_sample",
        "shapes-video": "focal_algorithm.tasks.shapes_video:shapes_video_sample",
    },
    group="focal.tasks",
)
"""Name to a function of (seed, split, index) and options that makes one sample."""
