"""Traces with accuracy: one run per set of method parameters gives both, into a cache keyed by content.

The model is loaded once per worker, when the first set of parameters is not in the cache.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from focal.environment import require_runnable
from focal.studies.measure.settings import ANSWERS, MEASURED, settings_of_words
from focal_common import __version__
from focal_common.commit import verify_file
from focal_common.config import StrictModel, validated
from focal_common.errors import FocalError, TraceError
from focal_common.places import PlainName, plain_path
from focal_common.provenance import content_hash
from focal_common.reading.csv_files import parse_csv
from focal_common.reading.doors import read_text
from focal_common.reading.json_files import parse_object
from focal_simulator.sweep.providers.base import (
    ProviderContext,
    TraceCache,
    Traced,
    TraceProvider,
    chosen_workloads,
)
from focal_traces.root.root import TraceRoot

if TYPE_CHECKING:
    from focal.studies.measure.session import Session

_LONGEST_REASON = 300
_REMEDY = "remove the folder to measure again"
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
        arguments: Options of ``focal measure``, such as ``--questions 400``.
        folder: Trace folder of the measured method.
        metrics: Numbers under ``metrics`` of ``measured.json`` that become metrics of the study.
    """

    arguments: tuple[str, ...] = ()
    folder: PlainName | None = None
    metrics: tuple[str, ...] = _METRICS


class Measurer(Protocol):
    """What measures one set of method parameters after the other."""

    @property
    def parameters(self) -> Sequence[str] | None:
        """Names of the parameters it takes; None if it does not say."""

    def identity(self) -> str:
        """Return a hash of everything beside the parameters that decides a measurement."""

    def measure(self, parameters: Mapping[str, Any], output: Path) -> None:
        """Fill a folder with a trace root and its ``measured.json``; see `focal.studies.measure.settings.MEASURED`.

        Raises:
            FocalError: The parameters are refused, or the run failed.
        """


class _ModelMeasurer:
    """A model of `MeasureSettings`, loaded when it is first needed."""

    def __init__(self, words: Sequence[str]) -> None:
        self._settings, self._given = settings_of_words(words)
        self.parameters = self._settings.parameters()

    def identity(self) -> str:
        identity = self._settings.identity()
        return content_hash({"of": identity, "parameters": self._given}) if self._given else identity

    @cached_property
    def _session(self) -> Session:
        require_runnable()
        from focal.studies.measure.session import Session  # with torch, which a finished cache does without

        return Session(self._settings)

    def measure(self, parameters: Mapping[str, Any], output: Path) -> None:
        # Whatever a library prints: standard output holds the results of the command.
        with redirect_stdout(sys.stderr):
            self._session.measure({**self._given, **parameters}, output)


class MeasuredTraces(TraceProvider):
    """Has a model measured once for each set of method parameters; keeps trace root, metrics and answers.

    Another way to measure is a subclass with its own `measurer`, registered under a name of its own.
    """

    makes_traces: ClassVar[bool] = True
    measure_units: ClassVar[Mapping[str, str]] = {
        name: "questions" if name == "questions" else "%" for name in _METRICS
    }
    measures_are: ClassVar[str] = "measured"

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._options = validated(MeasureOptions, dict(context.options), "traces.options")
        self._measurer = self.measurer(self._options.arguments)
        # The identity holds the content of the weights; their folder, a word of the arguments, decides nothing.
        decides = {"identity": self._measurer.identity(), "version": __version__}
        self._cache = TraceCache(context.cache, content_hash(decides))

    def measurer(self, words: Sequence[str]) -> Measurer:
        """Return what measures, for the ``arguments`` of the study.

        Raises:
            ConfigError: The words are no options of ``focal measure``.
        """
        return _ModelMeasurer(words)

    def parameters(self) -> Sequence[str] | None:
        """Return the parameters of the method; None if their check is left to it."""
        return self._measurer.parameters

    def measures(self) -> Sequence[str]:
        """Return the metrics read from ``measured.json``."""
        return self._options.metrics

    def fingerprint(self) -> str:
        """Return a hash of all that decides a measurement, and of the version of Focal."""
        return self._cache.fingerprint

    def traced(self, parameters: Mapping[str, Any]) -> Traced:
        """Return workloads and metrics for these parameters, measured now or found in the cache."""

        def make(work: Path) -> None:
            try:
                self._measurer.measure(parameters, work)
            except FocalError as error:
                raise TraceError(f"the measurement failed: {_sentence(error)}") from error
            # What cannot be read is not kept, so that it is measured again.
            self._metrics(work)

        folder = self._cache.root(parameters, make)
        root = TraceRoot.open(folder)
        workloads = chosen_workloads(
            root, self.context.workloads, self._options.folder or self.context.folder
        )
        return Traced(workloads, self._metrics(folder))

    def answers(self, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one record per question asked under these parameters: picture, kind, right; empty if none is kept."""
        path = self._cache.place(parameters) / ANSWERS
        if not path.is_file():
            return []
        verify_file(path)
        text = read_text(path, TraceError)
        _, rows = parse_csv(text, _shown(path), ("right", "picture", "kind"), hint=_REMEDY)
        answers: list[dict[str, Any]] = []
        for row in rows:
            if row["right"] not in ("0", "1"):
                raise TraceError(
                    f"{_shown(path)}: 'right' is {row['right']!r:.40}, expected 0 or 1; {_REMEDY}"
                )
            names = {name: plain_path(row[name], f"{_shown(path)}: '{name}'") for name in ("picture", "kind")}
            answers.append({"right": row["right"] == "1", **names})
        return answers

    def _metrics(self, folder: Path) -> dict[str, float]:
        path = folder / MEASURED
        if not path.exists():
            raise TraceError(f"{_shown(path)}: the measurement left no such file")
        verify_file(path)
        content = parse_object(read_text(path, TraceError), _shown(path), TraceError, _REMEDY).get("metrics")
        if not isinstance(content, dict):
            raise TraceError(f"{_shown(path)}: expected an object 'metrics'; {_REMEDY}")
        found: dict[str, Any] = {name: content.get(name) for name in self._options.metrics}
        for name, value in found.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise TraceError(
                    f"{_shown(path)}: metrics.{name} is {value!r}, expected a finite number; {_REMEDY}"
                )
        return {name: float(value) for name, value in found.items()}


def _shown(path: Path) -> str:
    """Return cache folder, key and name: rows of a study hold no machine path."""
    return "/".join(path.parts[-3:])


def _sentence(error: FocalError) -> str:
    return " ".join(str(error).split())[-_LONGEST_REASON:]
