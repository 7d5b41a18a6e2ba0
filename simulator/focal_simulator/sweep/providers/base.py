"""The interface of a trace provider: workloads for a set of method parameters."""

from __future__ import annotations

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from focal_common.errors import ConfigError, TraceError, near_matches
from focal_common.files import atomic_write_text, file_lock
from focal_common.places import remove_folder, scratch_folder
from focal_common.provenance import content_hash
from focal_simulator.workload.loading import load_workloads
from focal_simulator.workload.workload import Workload
from focal_traces.root.root import TraceRoot


@dataclass(frozen=True, slots=True)
class ProviderContext:
    """What a provider is built with; the same in every worker.

    Attributes:
        root: Trace root of the study.
        folder: Trace folder of points that set no method parameter.
        workloads: ``model/dataset`` pairs; empty means all.
        options: ``traces.options`` of the study, unchecked.
        cache: Folder that workers share, for traces made on demand.
    """

    root: Path | None
    folder: str
    workloads: tuple[str, ...]
    options: Mapping[str, Any]
    cache: Path


@dataclass(frozen=True, slots=True)
class Traced:
    """What a provider found or made.

    Attributes:
        workloads: In a fixed order, the same pairs for every set of parameters.
        measured: Further metrics, such as ``accuracy``, by name.
    """

    workloads: tuple[Workload, ...]
    measured: Mapping[str, float] = field(default_factory=dict)


class TraceProvider(ABC):
    """Gives workloads for method parameters.

    Args:
        context: See `ProviderContext`.

    Attributes:
        runs_commands: Whether it runs programs that the study names, for which a user must give leave.
        makes_traces: Whether a trace takes long to make, so that workers should not want the same one at once.
        measure_units: Units of the metrics it gives, by name.
        measures_are: Where those metrics come from, in words for figures and tables.

    Raises:
        ConfigError: Options are missing or unknown.
    """

    runs_commands: ClassVar[bool] = False
    makes_traces: ClassVar[bool] = False
    measure_units: ClassVar[Mapping[str, str]] = {}
    measures_are: ClassVar[str] = ""

    def __init__(self, context: ProviderContext) -> None:
        self.context = context

    @abstractmethod
    def parameters(self) -> Sequence[str] | None:
        """Return the method parameters it understands; None if the method itself will check them."""

    def measures(self) -> Sequence[str]:
        """Return the names of the metrics it measures beside the workloads; none by default."""
        return ()

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of everything beside the parameters that decides the traces."""

    @abstractmethod
    def traced(self, parameters: Mapping[str, Any]) -> Traced:
        """Return the workloads for these parameters; empty for the base design.

        Called from many processes at once; equal parameters give equal workloads.

        Raises:
            FocalError: There is no such trace, or it could not be made. The point becomes a failed row.
        """

    def answers(self, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return one record per question asked under these parameters, equal keys in all; none by default."""
        return []

    def check(self, name: str, value: Any) -> None:
        """Refuse a method parameter that can not work, before anything runs.

        Raises:
            ConfigError: An unknown parameter, with the nearest name, or a value that makes no sense.
        """
        known = self.parameters()
        if known is not None and name not in known:
            raise ConfigError(f"unknown method parameter '{name}'; {near_matches(name, known)}")
        if name in ("selected_layers", "alpha_list"):
            _check_schedule(name, value)


def chosen_workloads(root: TraceRoot, pairs: Sequence[str], folder: str) -> tuple[Workload, ...]:
    """Return the workloads of a trace root in its order; all, or those of the pairs.

    Raises:
        TraceError: A pair the root does not list, with the nearest.
    """
    if not pairs:
        return tuple(load_workloads(root, [], [], folder))
    known = [f"{model}/{dataset}" for model, dataset in root.workloads]
    for pair in pairs:
        if pair not in known:
            raise TraceError(f"{root.path}: no workload '{pair}'; {near_matches(pair, known)}")
    found = []
    for model, dataset in root.workloads:
        if f"{model}/{dataset}" in pairs:
            found += load_workloads(root, [model], [dataset], folder)
    return tuple(found)


def _check_schedule(name: str, value: Any) -> None:
    """Refuse a schedule out of order: later layers must come later and keep no more tokens."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, int | float) for one in value):
        raise ConfigError(f"method.{name}: expected a list of numbers, got {value!r}")
    pairs = list(itertools.pairwise(value))
    if name == "selected_layers" and any(later <= earlier for earlier, later in pairs):
        raise ConfigError(f"method.selected_layers must ascend, got {list(value)}")
    if name == "alpha_list" and any(later > earlier for earlier, later in pairs):
        raise ConfigError(
            f"method.alpha_list must not ascend (dropped tokens do not return), got {list(value)}"
        )


class TraceCache:
    """A folder of trace roots keyed by content.

    Args:
        folder: Of the cache.
        fingerprint: Hash of everything beside the parameters that decides a trace.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint

    def place(self, parameters: Mapping[str, Any]) -> Path:
        """Return where the trace root of these parameters lies, or will lie."""
        key = content_hash({"of": self.fingerprint, "parameters": dict(parameters)})[:32]
        return self.folder / key

    def root(self, parameters: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the trace root of these parameters, made now or found.

        Args:
            parameters: Of the method.
            make: Fills an empty folder; if it raises, nothing is kept.
        """
        place = self.place(parameters)
        # Workers that need the same trace wait for the first one instead of making it again.
        with file_lock(self.folder / f".{place.name}.lock"):
            if not place.is_dir():
                self._make(place, parameters, make)
        return place

    def _make(self, place: Path, parameters: Mapping[str, Any], make: Callable[[Path], None]) -> None:
        for left_over in place.parent.glob(f".{place.name}.*.work"):
            remove_folder(left_over)
        with scratch_folder(place) as work:
            make(work)
            record = {"parameters": dict(parameters), "of": self.fingerprint}
            atomic_write_text(work / "parameters.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
            work.rename(place)
