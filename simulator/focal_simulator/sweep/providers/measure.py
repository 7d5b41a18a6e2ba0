"""Traces with accuracy: one run per set of method parameters gives both, into a cache keyed by content."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PositiveFloat

from focal_common import __version__
from focal_common.config import StrictModel, validated
from focal_common.errors import TraceError
from focal_common.places import PlainName, plain_path
from focal_common.provenance import content_hash
from focal_simulator.sweep.providers.base import ProviderContext, Traced, TraceProvider, chosen_workloads
from focal_simulator.sweep.providers.measure_child import MeasureChild
from focal_simulator.sweep.providers.trace_cache import FOCAL, TraceCache
from focal_traces.root.root import TraceRoot

__all__ = ["MeasuredTraces"]

_MEASURED, _ANSWERS = "measured.json", "answers.csv"
_METRICS = (
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "questions",
    "kept_tokens",
    "vector_sparsity",
)


class MeasureOptions(StrictModel):
    """Options of the provider ``measure``.

    Attributes:
        arguments: Words after ``focal measure``, such as ``--questions 400``; no shell reads them.
        command: Program and first words in place of ``focal measure``. With ``--identity`` it must print a hash of
            all that decides its results, and may print a line of JSON after it, ``{"parameters": [...]}``, with the
            parameters it takes; with ``--lines`` it must answer requests as ``focal measure`` does, and leave
            a trace root with ``measured.json``.
        folder: Trace folder the command writes.
        metrics: Numbers under ``metrics`` of ``measured.json`` that become metrics of the study.
        timeout_s: Longest measurement of one set of parameters.
    """

    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    folder: PlainName | None = None
    metrics: tuple[str, ...] = _METRICS
    timeout_s: PositiveFloat = 3600.0


class MeasuredTraces(TraceProvider):
    """Has a model measured once for each set of method parameters; keeps trace root, metrics and answers."""

    makes_traces: ClassVar[bool] = True
    measure_units: ClassVar[Mapping[str, str]] = {
        name: "questions" if name == "questions" else "%" for name in _METRICS
    }
    measures_are: ClassVar[str] = "measured"

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._options = validated(MeasureOptions, dict(context.options), "traces.options")
        words = [*(self._options.command or (*FOCAL, "measure")), *self._options.arguments]
        self._child = MeasureChild(words, self._options.timeout_s)
        # The identity holds the content of the weights; their place, a word of the arguments, decides nothing.
        identity = self._child.identity()
        self._parameters = identity.parameters
        decides = {"identity": identity.sha256, "version": __version__}
        self._cache = TraceCache(context.cache, content_hash(decides))

    def parameters(self) -> Sequence[str] | None:
        """Return the parameters the command names; None if it leaves their check to its method."""
        return self._parameters

    def measures(self) -> Sequence[str]:
        """Return the metrics read from ``measured.json``."""
        return self._options.metrics

    def fingerprint(self) -> str:
        """Return a hash of what the command says decides its results, and of the version of Focal."""
        return self._cache.fingerprint

    def traced(self, parameters: Mapping[str, Any]) -> Traced:
        """Return workloads and metrics for these parameters, measured now or found in the cache."""

        def make(work: Path) -> None:
            self._child.measure(parameters, work)
            # What cannot be read is not kept, so that it is measured again.
            self._metrics(work)

        place = self._cache.root(parameters, make)
        root = TraceRoot.open(place)
        workloads = chosen_workloads(
            root, self.context.workloads, self._options.folder or self.context.folder
        )
        return Traced(workloads, self._metrics(place))

    def answers(self, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one record per question asked under these parameters: picture, kind, right; empty if none is kept."""
        path = self._cache.place(parameters) / _ANSWERS
        if not path.is_file():
            return []
        try:
            with path.open(encoding="utf-8", newline="") as source:
                return [
                    {"right": bool(int(row["right"]))}
                    | {
                        name: plain_path(row[name], f"{_shown(path)}: '{name}'")
                        for name in ("picture", "kind")
                    }
                    for row in csv.DictReader(source)
                ]
        except (OSError, KeyError, ValueError) as error:
            raise TraceError(
                f"{_shown(path)}: not a readable table of answers ({error}); remove the folder to measure again"
            ) from error

    def _metrics(self, place: Path) -> dict[str, float]:
        path = place / _MEASURED
        try:
            content = json.loads(path.read_text(encoding="utf-8"))["metrics"]
            found = {name: content.get(name) for name in self._options.metrics}
        except FileNotFoundError as error:
            raise TraceError(f"{_shown(path)}: the measuring command left no such file") from error
        except (OSError, KeyError, ValueError, AttributeError, TypeError) as error:
            raise TraceError(
                f"{_shown(path)}: not readable, expected an object with 'metrics'; remove the folder to measure again"
            ) from error
        for name, value in found.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise TraceError(
                    f"{_shown(path)}: metrics.{name} is {value!r}, expected a finite number; remove the folder to "
                    "measure again"
                )
        return {name: float(value) for name, value in found.items()}


def _shown(path: Path) -> str:
    """Return cache folder, key and name: rows of a study hold no machine path."""
    return "/".join(path.parts[-3:])
