"""Traces that were recorded before: one file of a trace folder per set of method parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, TraceError
from focal_common.files import sha256_of_file
from focal_common.places import PlainName, check_names, plain_name
from focal_common.provenance import content_hash
from focal_common.reading.csv_files import read_csv
from focal_common.reading.values import real_number
from focal_simulator.sweep.providers.base import ProviderContext, Traced, TraceProvider, chosen_workloads
from focal_simulator.workload.loading import with_trace
from focal_simulator.workload.workload import Workload
from focal_traces.methods import method_tables
from focal_traces.root.root import TraceRoot
from focal_traces.tables.table import WORKLOADS

_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ExistingOptions(StrictModel):
    """Options of the provider ``existing``.

    Attributes:
        folder: Trace folder of points that set method parameters, such as ``m_tile_size_dse``.
        variant: Last part of the trace name, such as ``{m_tile}`` or ``{frame_block_size}x{block_size}``.
        accuracy_table: Table of the root with columns swept, value, model, dataset, accuracy (percent); its
            accuracies become the metric ``accuracy``. They are looked up, not measured.
        accuracy_of: Value of the column ``swept``.
    """

    folder: PlainName | None = None
    variant: PlainName | None = None
    accuracy_table: PlainName | None = None
    accuracy_of: PlainName | None = None


class ExistingTraces(TraceProvider):
    """Picks traces from the folders of a trace root."""

    measure_units: ClassVar[Mapping[str, str]] = {"accuracy": "%"}
    measures_are: ClassVar[str] = "published, not measured"

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        if context.root is None:
            raise ConfigError("the study names no trace root; add traces.root or give one", about=("trace",))
        self._root = TraceRoot.open(context.root)
        self._options = validated(ExistingOptions, dict(context.options), "traces.options")
        if (self._options.folder is None) != (self._options.variant is None):
            raise ConfigError("traces.options: expected folder and variant together")
        # Read before anything runs, and not when the first point asks for it.
        self._accuracies = self._read_accuracies()

    def parameters(self) -> Sequence[str]:
        """Return the parameters that the trace name holds."""
        return _PARAMETER.findall(self._options.variant or "")

    def check(self, name: str, value: Any) -> None:
        """Refuse a parameter that cannot stand in the name of a trace, too."""
        super().check(name, value)
        if name in self.parameters():
            plain_name(str(value), f"method.{name}")

    def measures(self) -> Sequence[str]:
        """Return ``accuracy`` where a table gives it."""
        return ("accuracy",) if self._options.accuracy_table else ()

    def fingerprint(self) -> str:
        """Return a hash of the tables and of every trace file the study may read."""
        root = self._root.path
        folder = root if root.is_dir() else root.parent
        names = [WORKLOADS.file, *(table.file for table in method_tables())]
        tables = [folder / name for name in (*names, self._options.accuracy_table or "") if name]
        hashes = {place.name: sha256_of_file(place) for place in tables if place.is_file()}
        for path in self._trace_files():
            hashes[f"{path.parent.name}/{path.name}"] = sha256_of_file(path)
        return content_hash(hashes)

    def traced(self, parameters: Mapping[str, Any]) -> Traced:
        """Return the main traces, or those whose name the parameters give."""
        if not parameters:
            return Traced(self._main)
        missing = [name for name in self.parameters() if name not in parameters]
        if missing:
            raise ConfigError(
                f"traces.options.variant needs method.{missing[0]}, which the point leaves unset"
            )
        options = self._options
        folder = options.folder or ""
        variant = _PARAMETER.sub(lambda found: str(parameters[found[1]]), options.variant or "")
        workloads = []
        for workload in self._main:
            trace = self._root.open_trace(workload.model, workload.dataset, folder, variant)
            workloads.append(with_trace(workload, trace, folder))
        return Traced(tuple(workloads), self._accuracy(variant))

    @cached_property
    def _main(self) -> tuple[Workload, ...]:
        return chosen_workloads(self._root, self.context.workloads, self.context.folder)

    def _trace_files(self) -> list[Path]:
        found = []
        for workload in self._main:
            pair = (workload.model, workload.dataset)
            main = self._root.find_trace(*pair, self.context.folder)
            found += [main] if main is not None else []
            folder = self._options.folder
            if folder is not None:
                for variant in self._root.variants(folder, *pair):
                    found.append(self._root.trace_path(*pair, folder, variant))
        return found

    def _accuracy(self, variant: str) -> dict[str, float]:
        if self._options.accuracy_table is None:
            return {}
        values = []
        for workload in self._main:
            key = (self._options.accuracy_of or "", variant, workload.model, workload.dataset)
            if key not in self._accuracies:
                raise TraceError(
                    f"{self._options.accuracy_table}: no accuracy of {workload.label} for "
                    f"{self._options.accuracy_of} {variant}"
                )
            values.append(self._accuracies[key])
        return {"accuracy": math.fsum(values) / len(values)}

    def _read_accuracies(self) -> dict[tuple[str, ...], float]:
        if self._options.accuracy_table is None:
            return {}
        path = self._root.path / self._options.accuracy_table
        keys = ("swept", "value", "model", "dataset")
        _, rows = read_csv(path, (*keys, "accuracy"))
        found: dict[tuple[str, ...], float] = {}
        for number, row in enumerate(rows, start=1):
            check_names(row, f"{path}, row {number}")
            try:
                found[tuple(row[key] for key in keys)] = real_number(row["accuracy"])
            except ValueError as error:
                raise TraceError(f"{path}, row {number}: 'accuracy': {error}") from error
        return found
