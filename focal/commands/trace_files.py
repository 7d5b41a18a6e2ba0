"""Command line of traces: ``focal trace info | validate | convert | diff``.

Each command is a plain function, so that another application can register it as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from focal.commands.trace_files_frames import show_frames
from focal.commands.trace_files_ledger import ledger_table
from focal.commands.trace_files_records import show_records
from focal_common.commit import verify_folder
from focal_common.console import output_console
from focal_common.errors import ConfigError, RunError, TraceError
from focal_traces.counts.sparsity import sparsity_by_layer, tokens_by_layer, weighted_sparsity
from focal_traces.counts.trace import Trace
from focal_traces.files.convert import convert_file
from focal_traces.files.diff import Difference, diff_headers, diff_masks, diff_traces
from focal_traces.files.store import read_any
from focal_traces.files.validate import validate_file
from focal_traces.frames.file import holds_frames
from focal_traces.header.schema import GEMMS, TraceHeader
from focal_traces.masks.masks import trace_from_masks
from focal_traces.records.file import holds_records
from focal_traces.root.context import find_context
from focal_traces.work.ledger import ledger

app = typer.Typer(
    help="Inspect, check, convert and compare sparse traces.", no_args_is_help=True, add_completion=False
)

_MOST_DIFFERENCES = 20
_BARS = "▁▂▃▄▅▆▇█"

File = Annotated[Path, typer.Argument(help="Trace: .counts.parquet, .masks.pth or a published .pth.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Header = Annotated[
    Path | None,
    typer.Option(
        help="For a published .pth: a Focal trace or JSON file whose header says what was run. Not needed "
        "inside a trace root with meta_data.csv."
    ),
]


def info(
    path: File,
    header: Header = None,
    sample: Annotated[
        int | None, typer.Option(help="Sample to show; the median sample if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the header, the sparsity of each GEMM and the tokens of each layer; or what a method decided."""
    if holds_frames(path):
        show_frames(path, as_json)
        return
    if holds_records(path):
        show_records(path, sample, as_json)
        return
    tier, trace = read_any(path, find_context(path, header))
    counts = trace if isinstance(trace, Trace) else trace_from_masks(trace)
    chosen = counts.chosen_sample() if sample is None else sample
    if not 0 <= chosen < len(counts.samples):
        raise ConfigError(f"--sample {chosen}: expected 0 to {len(counts.samples) - 1}")
    sparsity = sparsity_by_layer(counts, chosen)
    tokens = tokens_by_layer(counts, chosen)
    facts = {
        "path": str(path),
        "tier": tier,
        "file_bytes": path.stat().st_size,
        "header": counts.header.model_dump(mode="json"),
        "sample": chosen,
        "weighted_sparsity": weighted_sparsity(counts, chosen),
        "sparsity": dict(zip(GEMMS, sparsity.mean(axis=0).tolist(), strict=True)),
        "tokens": {name: tokens[:, place].tolist() for place, name in enumerate(GEMMS)},
        "ledger": ledger(counts, chosen).as_json(),
    }
    if as_json:
        _print_json(facts)
        return
    console = output_console()
    # Outside the table: a path broken over cells could not be copied.
    console.print(facts["path"], markup=False, soft_wrap=True)
    console.print(_header_table(facts, counts.header))
    console.print(_gemm_table(facts, counts.header, sample=chosen))
    console.print(ledger_table(ledger(counts, chosen)))


def validate(
    paths: Annotated[
        list[Path], typer.Argument(help="Trace files; or folders, whose manifests are checked.")
    ],
    header: Header = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave with 1 where anything is unverified.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check files completely: manifests, checksums, schema, shapes, disjoint masks, consistent counts.

    What no manifest vouches for, such as a published or a hand-made file, is called unverified. Of a folder only the
    manifests and their files are checked; an unverified trace in it is read when its file is named.
    """
    reports: list[dict[str, Any]] = []
    failure: TraceError | None = None
    for path in paths:
        try:
            if path.is_dir():
                reports.append(_folder_report(path))
                continue
            passed = validate_file(path, find_context(path, header))
        except TraceError as error:
            failure = failure or error
            reports.append({"path": str(path), "ok": False, "error": str(error)})
            continue
        reports.append(
            {
                "path": str(path),
                "ok": True,
                "tier": passed.tier,
                "samples": passed.samples,
                "gemm_inputs": passed.gemm_inputs,
                "remarks": list(passed.remarks),
                "is_verified": passed.is_verified,
            }
        )
    if as_json:
        _print_json(reports)
    else:
        for report in reports:
            _print_report(report)
    if failure is not None:
        if len(paths) == 1:
            raise failure
        raise TraceError(f"{sum(not report['ok'] for report in reports)} of {len(paths)} files are not valid")
    if strict and not all(report["is_verified"] for report in reports):
        raise RunError("--strict: not everything is named by a manifest")


def _folder_report(path: Path) -> dict[str, Any]:
    sealed, others = verify_folder(path)
    if not (sealed or others):
        raise TraceError(f"{path}: holds no files, expected a folder of traces or results")
    return {
        "path": str(path),
        "ok": True,
        "sealed_files": sealed,
        "unverified": [str(one) for one in others],
        "is_verified": not others,
    }


def convert(
    source: Annotated[Path, typer.Argument(help="Trace file to read.")],
    target: Annotated[
        Path, typer.Argument(help="NAME.counts.parquet, NAME.masks.pth, NAME.pth or NAME.csv.")
    ],
    header: Header = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing target.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a trace in another tier; the target's name says which."""
    if target.is_file() and not force:
        raise ConfigError(f"{target}: exists already; give --force to replace it")
    if target.is_dir():
        raise ConfigError(f"{target}: is a folder, expected a file name")
    convert_file(source, target, find_context(source, header))
    if as_json:
        _print_json({"source": str(source), "target": str(target), "file_bytes": target.stat().st_size})
    else:
        output_console().print(f"wrote {target} ({target.stat().st_size} bytes)", markup=False)


def diff(
    first: Annotated[Path, typer.Argument(help="Trace file.")],
    second: Annotated[Path, typer.Argument(help="Trace file.")],
    header: Header = None,
    counts_only: Annotated[bool, typer.Option("--counts-only", help="Ignore headers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two traces; leaves with 0 if they are equal and 1 if not."""
    (_, one), (_, two) = (read_any(path, find_context(path, header)) for path in (first, second))
    found = [] if counts_only else diff_headers(one.header, two.header)
    if isinstance(one, Trace) or isinstance(two, Trace):
        one, two = (trace if isinstance(trace, Trace) else trace_from_masks(trace) for trace in (one, two))
        found += diff_traces(one, two)
    else:
        found += diff_masks(one, two)
    if as_json:
        _print_json({"is_equal": not found, "differences": [_as_dict(finding) for finding in found]})
    elif not found:
        output_console().print("equal")
    else:
        output_console().print(_difference_table(found, first, second))
    if found:
        raise typer.Exit(1)


for _command in (info, validate, convert, diff):
    app.command()(_command)


def _print_json(value: Any) -> None:
    output_console().print(json.dumps(value, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)


def _print_report(report: dict[str, Any]) -> None:
    console = output_console()
    if not report["ok"]:
        console.print(f"WRONG  {report['path']}", markup=False)
        return
    if "sealed_files" in report:
        sealed, others = report["sealed_files"], report["unverified"]
        if sealed:
            console.print(f"ok     {report['path']}: {sealed} files as their manifests say", markup=False)
        else:
            console.print(
                f"unverified {report['path']}: no manifest names any of its files; none was read",
                markup=False,
            )
        for path in others[:_MOST_DIFFERENCES]:
            console.print(f"       unverified: {path}", markup=False)
        if len(others) > _MOST_DIFFERENCES:
            console.print(
                f"       and {len(others) - _MOST_DIFFERENCES} more that no manifest names", markup=False
            )
        return
    console.print(
        f"ok     {report['path']}: {report['tier']}, {report['samples']} samples"
        + (f" x {report['gemm_inputs']} GEMM inputs" if report["gemm_inputs"] else "")
        + ("" if report["is_verified"] else "; unverified: no manifest names it"),
        markup=False,
    )
    for remark in report["remarks"]:
        console.print(f"       remark: {remark}", markup=False)


def _header_table(facts: dict[str, Any], header: TraceHeader) -> Table:
    table = Table("field", "value")
    geometry = header.geometry
    rows = {
        "tier": f"{facts['tier']}, {facts['file_bytes']} bytes, schema {header.schema_version}",
        "model": f"{header.model} ({header.checkpoint})",
        "dataset": header.dataset,
        "method": f"{header.method}, {header.mode}, {json.dumps(header.parameters, ensure_ascii=False)}",
        "decoder": f"{geometry.layers} layers, hidden {geometry.hidden_elements}, MLP "
        f"{geometry.intermediate_elements}, {geometry.heads}/{geometry.kv_heads} heads x "
        f"{geometry.head_dim_elements}",
        "vector, m-tile": f"{header.vector_size} elements, {header.m_tile or 'one tile of any'} tokens",
        "origin, seed": f"{header.origin}, {header.seed}",
        "versions": ", ".join(f"{name} {version}" for name, version in header.versions.items()),
        "linear layers": header.quantization,
        "notes": header.notes,
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, escape(str(value)))
    for place, sample in enumerate(header.samples):
        mark = " (shown below)" if place == facts["sample"] else ""
        grid = sample.grid
        shape = f", grid {grid.frames} x {grid.rows} x {grid.columns}" if grid else ""
        table.add_row(
            f"sample {place}{mark}",
            escape(
                f"{sample.sample_id}: {sample.visual_tokens} of {sample.sequence_tokens} tokens visual{shape}"
            ),
        )
    return table


def _gemm_table(facts: dict[str, Any], header: TraceHeader, sample: int) -> Table:
    title = f"sample {sample}: weighted sparsity {facts['weighted_sparsity']:.4f}"
    bars_column = Column("tokens by layer", overflow="fold")
    table = Table(
        "GEMM input", "vectors", "sparsity", bars_column, "first, last", title=title, title_justify="left"
    )
    most = max(header.samples[sample].visual_tokens, 1)
    for name in GEMMS:
        tokens = facts["tokens"][name]
        bars = "".join(_BARS[min(len(_BARS) - 1, count * len(_BARS) // most)] for count in tokens)
        table.add_row(
            name,
            str(header.slices(name)),
            f"{facts['sparsity'][name]:.4f}",
            bars,
            f"{tokens[0]}, {tokens[-1]}",
        )
    return table


def _difference_table(found: list[Difference], first: Path, second: Path) -> Table:
    more = f" (first {_MOST_DIFFERENCES} shown)" if len(found) > _MOST_DIFFERENCES else ""
    table = Table(
        "place", "entries", escape(str(first)), escape(str(second)), title=f"{len(found)} differences{more}"
    )
    for finding in found[:_MOST_DIFFERENCES]:
        table.add_row(
            escape(finding.place), str(finding.count), escape(finding.first), escape(finding.second)
        )
    return table


def _as_dict(finding: Difference) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in ("place", "first", "second", "count")}
