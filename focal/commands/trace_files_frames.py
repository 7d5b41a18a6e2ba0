"""What ``focal trace info`` prints for a file of frames."""

from __future__ import annotations

import json
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from focal_common.console import output_console
from focal_traces.frames.file import read_frames


def show_frames(path: Path, as_json: bool) -> None:
    """Print the pictures that are kept of each sample; raises `TraceError` as `read_frames`."""
    trace = read_frames(path)
    rows = [
        {
            "sample": number,
            "sample_id": header.sample_id,
            "visual_tokens": header.visual_tokens,
            "pictures": 0 if kept is None else len(kept.pictures),
            "question": "" if kept is None else kept.question,
        }
        for number, (header, kept) in enumerate(zip(trace.header.samples, trace.samples, strict=True))
    ]
    console = output_console()
    if as_json:
        facts = {"path": str(path), "tier": "frames", "samples": rows}
        console.print(json.dumps(facts, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)
        return
    console.print(str(path), markup=False, soft_wrap=True)
    table = Table(*(name.replace("_", " ") for name in rows[0]))
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    console.print(table)
