"""Traces made on demand, one folder per set of method parameters, shared by workers and by studies side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from focal_common.files import atomic_write_text
from focal_common.places import remove_folder, scratch_folder
from focal_common.provenance import content_hash
from focal_simulator.sweep.locks import waiting_lock

__all__ = ["TraceCache"]


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
        with waiting_lock(self.folder / f".{place.name}.lock"):
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
