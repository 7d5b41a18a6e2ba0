"""What is finished of a row, on disk: an interrupted row goes on after its last finished sample."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_algorithm.hooks.recorder import RecordedSample
from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tracing.prompting import TracedSample
from focal_common.files import atomic_write_text
from focal_common.places import check_inside, check_removable, make_folder, remove_folder
from focal_common.reading.json_files import read_json, sealed, unsealed
from focal_traces.counts.file import COUNTS_SUFFIX, write_counts
from focal_traces.counts.trace import Trace
from focal_traces.files.store import open_masks, open_trace
from focal_traces.masks.file import MASKS_SUFFIX, write_masks
from focal_traces.masks.masks import MaskTrace
from focal_traces.records.file import RECORDS_SUFFIX, read_records, write_records
from focal_traces.records.records import RecordTrace

_REMEDY = "remove it, or do not resume"


@dataclass(frozen=True)
class RowState:
    """A row as far as it got.

    Attributes:
        status: ``running``, ``done`` or ``failed``.
        reason: Why it failed; empty otherwise.
        results: One JSON-like record per finished sample.
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
        """Replace the state in one step."""
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

    def save(self, index: int, traced: TracedSample, alone: Trace) -> None:
        """Write a finished sample.

        Args:
            index: Its number.
            traced: The sample.
            alone: Its counts under a header of one sample.
        """
        stem = self.folder / "samples" / f"{index:04d}"
        make_folder(stem.parent)
        recorded = traced.recorded
        write_counts(alone, stem.with_name(stem.name + COUNTS_SUFFIX))
        write_records(
            RecordTrace(alone.header, (recorded.records,)), stem.with_name(stem.name + RECORDS_SUFFIX)
        )
        if recorded.masks is not None:
            write_masks(MaskTrace(alone.header, (recorded.masks,)), stem.with_name(stem.name + MASKS_SUFFIX))
        facts: dict[str, Any] = {
            "answer": traced.answer,
            "origin": traced.origin,
            "summary": recorded.summary,
        }
        facts |= {"question": traced.question, "dense_answer": traced.dense_answer}
        facts |= {"notes": list(traced.notes)}
        facts |= {"asked": None if traced.asked is None else traced.asked.to_json()}
        atomic_write_text(stem.with_name(stem.name + ".json"), json.dumps(sealed(facts)) + "\n")

    def load(self, index: int) -> TracedSample:
        """Read a finished sample; raises `TraceError` or `ConfigError` where its files are damaged."""
        stem = self.folder / "samples" / f"{index:04d}"
        trace = open_trace(stem.with_name(stem.name + COUNTS_SUFFIX))
        masks_path = stem.with_name(stem.name + MASKS_SUFFIX)
        masks = open_masks(masks_path).samples[0] if masks_path.is_file() else None
        records = read_records(stem.with_name(stem.name + RECORDS_SUFFIX)).samples[0]
        where = stem.with_name(stem.name + ".json")
        facts = unsealed(read_json(where, hint=_REMEDY), str(where), hint=_REMEDY)
        recorded = RecordedSample(trace.header.samples[0], trace.samples[0], masks, records, facts["summary"])
        asked = None if facts["asked"] is None else Question.from_json(facts["asked"], str(where))
        spoken = (facts["answer"], facts["origin"], facts["question"])
        return TracedSample(recorded, *spoken, asked, facts["dense_answer"], notes=tuple(facts["notes"]))
