"""What ``focal trace info`` prints for a file of records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from focal_common.console import output_console
from focal_common.errors import ConfigError
from focal_traces.records.file import read_records
from focal_traces.records.records import Record


def show_records(path: Path, sample: int | None, as_json: bool) -> None:
    """Print, per layer and point of one sample, what was left of what.

    Raises:
        TraceError: See `focal_traces.records.file.read_records`.
        ConfigError: No such sample.
    """
    trace = read_records(path)
    chosen = (trace.header.median_index or 0) if sample is None else sample
    if not 0 <= chosen < len(trace.samples):
        raise ConfigError(f"--sample {chosen}: expected 0 to {len(trace.samples) - 1}")
    rows = _rows(trace.samples[chosen])
    console = output_console()
    if as_json:
        facts = {"path": str(path), "tier": "records", "sample": chosen, "rows": rows}
        console.print(json.dumps(facts, indent=2), markup=False, soft_wrap=True)
        return
    header = trace.header
    console.print(str(path), markup=False, soft_wrap=True)
    title = f"{header.method} on {header.model}/{header.dataset}, sample {chosen}"
    table = Table("layer", "point", "kind", "heads", "entries", "left", "of", title=title)
    for row in rows:
        table.add_row(
            *(str(row[name]) for name in ("layer", "point", "kind", "heads", "entries", "left", "of"))
        )
    console.print(table)


def _rows(records: tuple[Record, ...]) -> list[dict[str, Any]]:
    """Sum over heads and entries; of a map, the tokens that stand for themselves are left."""
    groups: dict[tuple[int, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.layer, record.point, record.kind), []).append(record)
    return [
        {
            "layer": layer,
            "point": point,
            "kind": kind,
            "heads": len({record.head for record in group}),
            "entries": sum(len(record.index) for record in group),
            "left": sum(_left(record) for record in group),
            "of": sum(_of(record) for record in group),
        }
        for (layer, point, kind), group in sorted(groups.items(), key=lambda item: item[0][0])
    ]


def _left(record: Record) -> int:
    kept = record.value == record.index if record.kind == "map" else record.value
    return int(np.sum(kept, dtype=np.int64))


def _of(record: Record) -> int:
    return len(record.index) if record.kind == "map" else int(record.total.sum(dtype=np.int64))
