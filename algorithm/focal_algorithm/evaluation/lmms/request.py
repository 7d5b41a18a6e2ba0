"""What a caller asks of an evaluation: refused in one sentence before a model is loaded, or carried out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from focal_algorithm.evaluation.lmms.options import ModelOptions, Sweep, options_from_arguments
from focal_common.errors import ConfigError
from focal_common.spreading.shards import Shard

if TYPE_CHECKING:
    from focal_algorithm.evaluation.lmms.evaluation import Forget, Run

_OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")


def set_environment(is_offline: bool) -> None:
    """Tell the libraries of others to keep quiet, and to use local files alone; they look when they are imported."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress is ours
    if is_offline:
        os.environ.update(dict.fromkeys(_OFFLINE, "1"))
    from focal_algorithm.evaluation.lmms.hub_tasks import hub_home

    os.environ.setdefault("HF_HOME", str(hub_home()))  # lmms-eval does not know XDG_CACHE_HOME


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of ``focal eval``, or one accuracy row of a matrix.

    Attributes:
        tasks: Names, see `Tasks`.
        options: Model and method.
        output: Folder of tables and runs.
        limit: First so many questions of each task, or a part below 1; None for all.
        logs_samples: Whether lmms-eval's own files are written too.
        sweep: Parameters to vary; None for one run.
        include: Folder of further task files; None for none.
    """

    tasks: tuple[str, ...]
    options: ModelOptions
    output: Path
    limit: float | None = None
    logs_samples: bool = False
    sweep: Sweep | None = None
    include: Path | None = None

    @classmethod
    def read(cls, arguments: Mapping[str, Any], **others: Any) -> Request:
        """Check model, method and parameters.

        Args:
            arguments: See `options_from_arguments`.
            **others: The other attributes.

        Raises:
            FocalError: One of them cannot be meant.
        """
        from focal_algorithm.methods.build import build_method
        from focal_algorithm.models import check_model_name

        request = cls(options=options_from_arguments(arguments), **others)
        options = request.options
        check_model_name(options.model)
        for _, chosen in (("", {}),) if request.sweep is None else request.sweep.points:
            method = build_method(options.method, options.parameters | chosen)
            if request.sweep is not None and chosen.keys() <= method.study.recorded_only(method):
                raise ConfigError(
                    f"sweep of {request.sweep.name}: changes no answer of method '{method.name}', only what its trace "
                    "counts; expected a parameter that the method reads, or method focus",
                    about=("sweep",),
                )
        return request

    def answered(self) -> int:
        """Return how many questions are answered in the output, by whichever shard and run."""
        files = (self.output / "answers").glob("*.jsonl")
        return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in files)

    def run(self, forget: Forget | None = None, shard: Shard | None = None, first: int = 0) -> list[Run]:
        """Evaluate; see `focal_algorithm.evaluation.lmms.evaluation.evaluate`.

        Args:
            forget: See there.
            shard: See there.
            first: See there.

        Raises:
            FocalError: lmms-eval is not installed, data is missing, or the run is at fault.
        """
        from focal_algorithm.evaluation.lmms import require_lmms_eval

        require_lmms_eval()
        from focal_algorithm.evaluation.lmms.hub_tasks import require_cached

        is_offline = self.options.profile == "offline"
        if is_offline:
            require_cached(self.tasks)
        from focal_algorithm.evaluation.lmms.engine import Tasks, quiet
        from focal_algorithm.evaluation.lmms.evaluation import evaluate
        from focal_algorithm.models import model_location

        model_location(self.options.model)  # looks at the hashes of its files
        with quiet():
            return evaluate(
                self.options,
                Tasks(list(self.tasks), is_offline, self.limit, self.include),
                self.output,
                limit=self.limit,
                logs_samples=self.logs_samples,
                sweep=self.sweep,
                forget=forget,
                shard=shard,
                first=first,
            )


def work_evaluation(context: tuple[Request, int], shard: Shard) -> list[Run]:
    """Do what a worker does of an evaluation: answer the questions of a shard, and write results if it is the last.

    Args:
        context: What is asked, and CPU threads.
        shard: Whose questions.
    """
    import torch

    request, threads = context
    set_environment(request.options.profile == "offline")
    torch.set_num_threads(threads)
    return request.run(shard=shard)
