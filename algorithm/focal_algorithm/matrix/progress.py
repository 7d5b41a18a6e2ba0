"""What is finished of a row, on disk: an interrupted row goes on after its last finished sample."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.tracing.journal import SampleJournal
from focal_common.files import atomic_write_text
from focal_common.places import check_inside, check_removable, remove_folder
from focal_common.reading.json_files import read_json, sealed, unsealed

_REMEDY = "remove it, or do not resume"

_REMEDY = "remove it, or do not resume"


@dataclass(frozen=True)
class RowState:
    """A row as far as it got.

    Attributes:
        status: ``running``, ``done`` or ``failed``.
        reason: Why it failed; empty otherwise.
        results: One JSON-like record per sample of a row that is done; while it runs, its journal has them.
    """

    status: str
    reason: str
    results: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class RowProgress:
    """Folder of one row.

    Attributes:
        folder: Holds ``row.json``, and the samples until the row is done.
        identity: Hash of everything that decides the result.
    """

    folder: Path
    identity: str

    @property
    def journal(self) -> SampleJournal:
        """Finished samples of a row that is not done."""
        return SampleJournal(self.folder / "samples")

    def check(self, output: Path) -> None:
        """Refuse a folder that leads out of ``output``, or samples that are not Focal's to remove.

        Raises:
            ConfigError: It does; nothing was touched.
        """
        check_inside(output, self.folder / "samples")
        check_removable(self.folder / "samples")

    def read(self, of_any_settings: bool = False) -> RowState | None:
        """Return the state; None where there is none, or it is of other settings.

        Args:
            of_any_settings: Take that of other settings too.

        Raises:
            ConfigError: ``row.json`` is damaged, changed, or of an older Focal.
        """
        path = self.folder / "row.json"
        if not path.is_file():
            return None
        tree = unsealed(read_json(path, hint=_REMEDY), str(path), hint=_REMEDY)
        state = RowState(tree["status"], tree["reason"], tuple(tree["results"]))
        return state if of_any_settings or tree["identity"] == self.identity else None

    def write(self, state: RowState) -> None:
        """Replace the state in one step.

        Raises:
            RunError: It cannot be written; the earlier state stands.
        """
        tree = {
            "identity": self.identity,
            "status": state.status,
            "reason": state.reason,
            "results": list(state.results),
        }
        atomic_write_text(self.folder / "row.json", json.dumps(sealed(tree), indent=1) + "\n")

    def clear(self) -> None:
        """Forget everything."""
        (self.folder / "row.json").unlink(missing_ok=True)
        self.drop_samples()

    def drop_samples(self) -> None:
        """Remove the samples of a row that is done; their trace is written."""
        remove_folder(self.folder / "samples")
