"""Steady rates of the shipped memory systems, measured beforehand: a first run need not compile the model for them.

Each row of the table carries the hash of the sources it was measured with. After any change of them but to imports the
model is replayed again, until ``python -m focal_simulator.dram.steady_rates`` has measured the table anew.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import asdict
from functools import cache
from importlib import resources
from typing import NamedTuple

from focal_common.files import atomic_write_text
from focal_common.reading.csv_files import parse_csv
from focal_simulator.dram.service import DramModel, SteadyState
from focal_simulator.dram.specs import preset_names
from focal_simulator.hardware.memory import DramSpec

_TABLE = resources.files("focal_simulator.dram") / "steady_rates.csv"


class SequentialRates(NamedTuple):
    """Rates of sequential traffic in one direction each."""

    reads: SteadyState
    writes: SteadyState


def sequential_rates(system: str | DramSpec) -> SequentialRates:
    """Return the rates of a memory system; of a preset from the table, if this model measured it.

    Raises:
        ConfigError: Unknown preset.
    """
    rates = _table().get((system, sources_sha256())) if isinstance(system, str) else None
    return measured_rates(system) if rates is None else rates


def measured_rates(system: str | DramSpec) -> SequentialRates:
    """Return the rates of a memory system from a replay; raises as `sequential_rates`."""
    model = DramModel(system)
    return SequentialRates(model.steady_state(), model.steady_state(write_share=1.0))


@cache
def sources_sha256() -> str:
    """Return the hash of the model: its code without imports, its parameters, presets and devices."""
    digest = hashlib.sha256()
    folder = resources.files("focal_simulator.dram")
    sources = [resources.files("focal_simulator.hardware") / "memory.py"]
    for place, ending in ((folder, ".py"), (folder / "presets", ".yaml"), (folder / "devices", ".yaml")):
        found = (source for source in place.iterdir() if source.name.endswith(ending))
        sources += sorted(found, key=lambda item: item.name)
    for source in sources:
        lines = source.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(("from ", "import "))]
        digest.update("\n".join([source.name, *kept]).encode())
    return digest.hexdigest()


@cache
def _table() -> dict[tuple[str, str], SequentialRates]:
    """Return the table by memory system and hash of the sources."""
    _, rows = parse_csv(_TABLE.read_text(encoding="utf-8"), _TABLE.name)
    found: dict[tuple[str, str], dict[str, SteadyState]] = {}
    for row in rows:
        key, direction = (row.pop("system"), row.pop("sources_sha256")), row.pop("direction")
        found.setdefault(key, {})[direction] = SteadyState(
            **{name: float(text) for name, text in row.items()}
        )
    return {key: SequentialRates(**pair) for key, pair in found.items()}


def _measure() -> None:
    """Write the table anew."""
    rows = [
        {"system": name, "direction": direction} | asdict(rates) | {"sources_sha256": sources_sha256()}
        for name in preset_names()
        for direction, rates in measured_rates(name)._asdict().items()
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with resources.as_file(_TABLE) as path:
        atomic_write_text(path, text.getvalue())


if __name__ == "__main__":
    _measure()
