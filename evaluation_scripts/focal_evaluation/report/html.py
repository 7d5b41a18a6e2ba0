"""Puts a report into one HTML file that needs no network."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from focal_common import __version__
from focal_common.errors import FocalError, TraceError, UnsupportedError
from focal_common.files import atomic_write_text
from focal_evaluation.claims.results import Results
from focal_evaluation.claims.verdicts import verdict_frame
from focal_evaluation.exhibits.base import DONE
from focal_evaluation.exhibits.headline import what_ran
from focal_evaluation.exhibits.style import base_of, label, short
from focal_evaluation.report.charts import (
    CAUSE_COLOURS,
    cause_chart,
    cdf_chart,
    energy_chart,
    plain,
    roofline_chart,
    speedup_chart,
)
from focal_evaluation.report.layers import causes_of, heat_maps
from focal_evaluation.report.runs import RunSet, ratio_frames
from focal_evaluation.results.result_frame import FIDELITIES
from focal_simulator.results.ratios import SPEEDUP

_LONGEST = 40

_NO_LAYERS = "Not in these results: fidelity parity has no timed layers. Simulate with fidelity cycle."
_BASIS = "each row over dense in its own run"
_NO_DENSE = "Not in these results: no row has a ratio over the dense array."


def as_json(value: Any) -> str:
    """Return JSON that cannot end the script element it stands in.

    Raises:
        TraceError: A number in it is not finite.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise TraceError(
            "these results hold a number that is not finite, or cycles of zero, so that a share cannot be drawn; "
            "simulate again"
        ) from error
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _plotly_script() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UnsupportedError("focal report needs the package plotly: pip install 'focal-vlm'") from error
    # A closing tag inside the library would end the element.
    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else short(name, _LONGEST)


_HEADS = (
    ("Workload", "text"),
    ("Accelerator", "text"),
    ("Status", "text"),
    ("Cycles [M]", "number"),
    ("Time [s]", "number"),
    ("Speed-up [x]", "number"),
    ("Energy [mJ]", "number"),
    ("Energy vs. dense", "number"),
    ("Core [mJ]", "number"),
    ("Buffer [mJ]", "number"),
    ("DRAM [mJ]", "number"),
    ("DRAM [GB]", "number"),
    ("MACs saved [%]", "number"),
    ("Counts", "text"),
    ("Fidelity", "text"),
)


def _table(found: RunSet, frames: tuple[pd.DataFrame, pd.DataFrame] | None) -> dict[str, Any]:
    gains: dict[tuple[str, str, str], tuple[float, float]] = {}
    if frames is not None:
        for one, two in zip(frames[0].to_dict("records"), frames[1].to_dict("records"), strict=True):
            gains[one["model"], one["dataset"], one["method"]] = (one[SPEEDUP], two["total"])
    lines = []
    for row in found.rows.to_dict("records"):
        speedup, energy = gains.get((row["model"], row["dataset"], row["method"]), (float("nan"),) * 2)
        saved = 100 * (1 - row["macs"] / row["dense_macs"]) if row["dense_macs"] > 0 else float("nan")
        numbers = (
            row["cycles"] / 1e6,
            row["seconds"],
            speedup,
            row["energy_mj"],
            energy,
            row["core_energy_mj"],
            row["sram_energy_mj"],
            row["dram_energy_mj"],
            row["dram_bytes"] / 1e9,
            saved,
        )
        words = [f"{row['dataset']} {row['model']}", str(row["method"]), str(row["status"])]
        fidelity = row["fidelity"] if not row["corrections"] else f"{row['fidelity']} ({row['corrections']})"
        cells = [_word(word) for word in words]
        cells += [_number(value if row["status"] == DONE else float("nan")) for value in numbers]
        cells += [_word(row["origin"]), _word(fidelity)]
        lines.append({"failed": row["status"] != DONE, "cells": cells})
    return {"heads": [{"title": title, "kind": kind} for title, kind in _HEADS], "rows": lines}


def _word(text: str) -> dict[str, str]:
    cut = _cut(text)
    return {"value": text, "text": cut, "full": text if cut != text else ""}


def _number(value: float) -> dict[str, str]:
    if pd.isna(value):
        return {"value": "", "text": "\u2013", "full": ""}
    return {
        "value": repr(float(value)),
        "text": f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}",
        "full": "",
    }


def _charts(found: RunSet, frames: tuple[pd.DataFrame, pd.DataFrame] | None) -> list[dict[str, Any]]:
    rows, layers = found.rows, found.layers
    has_layers = not layers.empty
    basis = " ".join(dict.fromkeys(text for run in found.runs for text in run.ratios))
    causes = [f"{name}_cycles" for name in causes_of(rows)]
    has_causes = bool(causes) and bool(rows[causes].notna().any().any())
    made: list[tuple[str, str, str, Any, str]] = [
        (
            "speedup",
            "Speed-up",
            f"Time of the dense systolic array over time, {_BASIS}. {basis} Means are geometric, over workloads that "
            "all have.",
            (lambda: speedup_chart(frames[0], SPEEDUP)) if frames else None,
            _NO_DENSE,
        ),
        (
            "energy",
            "Energy",
            f"Energy relative to the dense systolic array, {_BASIS}; split into core, buffers and DRAM. {basis}",
            (lambda: energy_chart(frames[1])) if frames else None,
            _NO_DENSE,
        ),
        (
            "roofline",
            "Roofline",
            "Each mark is one layer of one workload, summed over decoder blocks.",
            (lambda: roofline_chart(layers)) if has_layers else None,
            _NO_LAYERS,
        ),
        (
            "causes",
            "Where the cycles went",
            "Every cycle has one cause; stream, fill drain and weight are the array's own, all others stalls.",
            (lambda: cause_chart(rows)) if has_causes else None,
            _NO_LAYERS,
        ),
        (
            "utilisation",
            "Tile utilisation",
            "Share of array cycles in which rows stream, distribution over tiles; mean within a GEMM.",
            (lambda: cdf_chart(layers)) if has_layers else None,
            _NO_LAYERS,
        ),
    ]
    return [
        {
            "id": name,
            "title": title,
            "text": text,
            "absent": "" if make else absent,
            "json": as_json(make()) if make else "",
        }
        for name, title, text, make, absent in made
    ]


def _maps(found: RunSet) -> str:
    names = causes_of(found.layers)
    entries = [
        {
            "workload": f"{one['model']}/{one['dataset']}",
            "workload_label": _cut(f"{one['dataset']}, {one['model']}"),
            "method": one["method"],
            "method_label": _cut(label(one["method"])),
            **{key: one[key] for key in ("blocks", "sparsity", "stalls", "causes")},
            "layers": [plain(name) for name in one["layers"]],
        }
        for one in heat_maps(found.layers)
    ]
    methods = sorted({str(entry["method"]) for entry in entries})
    return as_json(
        {
            "entries": entries,
            "first": next((name for name in methods if base_of(name) == "focus"), ""),
            "colours": {name: CAUSE_COLOURS[place % len(CAUSE_COLOURS)] for place, name in enumerate(names)},
        }
    )


def _claims(found: RunSet, root: Path) -> dict[str, Any]:
    groups: list[dict[str, Any]] = []
    if not (root / "claims.csv").exists():
        return {
            "text": f"{root} holds no claims.csv; give another root to compare with published claims.",
            "groups": [],
        }
    skipped = 0
    for run in found.runs:
        levels = found.rows.loc[found.rows["run"] == run.name, "fidelity"].unique()
        for level in [name for name in FIDELITIES if name in levels]:
            try:
                results = Results(run.folder, root, level)
                frame = verdict_frame(results.claims, results)
            except FocalError as error:
                groups.append({"title": f"{run.name}: {error}", "met": 0, "unmet": True, "rows": []})
                continue
            # Rows of result files and sweeps are in the page docs/parity.md; here is what the paper prints.
            shown = frame[frame["exhibit"].str.startswith(("fig_", "table_", "text", "abstract"))]
            skipped += int((shown["met"] == "not compared").sum())
            shown = shown[shown["met"] != "not compared"]
            for exhibit in dict.fromkeys(shown["exhibit"]):
                part = shown[shown["exhibit"] == exhibit]
                met = int((part["met"] == "yes").sum())
                groups.append(
                    {
                        "title": f"{_cut(run.name)}, {level}, {exhibit}",
                        "met": met,
                        "unmet": met < len(part),
                        "rows": [_claim_row(row) for row in part.to_dict("records")],
                    }
                )
    compared = sum(len(group["rows"]) for group in groups)
    met = sum(group["met"] for group in groups)
    if not compared:
        return {
            "text": "These results hold none of the published workloads in full; no claim applies.",
            "groups": groups,
        }
    rows = [row for group in groups for row in group["rows"]]
    bases = "; ".join(
        f"{sum(row['met'] == 'yes' for row in part)} of {len(part)} on {basis}"
        for basis in dict.fromkeys(row["rests_on"] for row in rows)
        for part in ([row for row in rows if row["rests_on"] == basis],)
    )
    text = f"{met} of {compared} compared claims are met ({bases}); {skipped} more need rows that these results lack."
    return {"text": text, "groups": groups}


def _claim_row(row: Any) -> dict[str, str]:
    return {
        **{name: str(row[name]) for name in ("subject", "quantity", "unit", "met", "rests_on")},
        "reason": "; ".join(
            text for text in (row["reason"], row["remark"] if row["met"] == "yes" else "") if text
        ),
        "published": f"{row['published']:.6g}",
        "ours": f"{row['ours']:.6g}",
        "difference": f"{row['difference_percent']:+.3f}",
        "tolerance": f"{row['tolerance_percent']:.3g}",
    }


def _summary(found: RunSet) -> str:
    rows = found.rows
    workloads = len(set(zip(rows["model"], rows["dataset"], strict=True)))
    levels = " and ".join(sorted(rows["fidelity"].unique()))
    known = {str(one) for one in rows["origin"] if one}
    origins = ", ".join(sorted(f"{one} counts" for one in known))
    return (
        f"{workloads} workload{'s' if workloads != 1 else ''} on {rows['method'].nunique()} accelerators; simulated "
        f"{what_ran(known)}; fidelity {levels}; inputs: {origins}."
        + "".join(f" {note}" for note in found.mixed)
    )


def report_html(found: RunSet, root: Path, beside: Path) -> str:
    """Return the page.

    Args:
        found: What to show.
        root: Trace root with the published claims.
        beside: Folder of the page, which links are relative to.

    Raises:
        UnsupportedError: Plotly is not installed.
    """
    from jinja2 import Environment, StrictUndefined

    here = files("focal_evaluation.report")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        here.joinpath("page.html.j2").read_text(encoding="utf-8")
    )
    frames = ratio_frames(found)
    charts = _charts(found, frames)
    names = ", ".join(_cut(run.name) for run in found.runs)
    sections = [
        {"id": "headline", "title": "Headline"},
        *({"id": chart["id"], "title": chart["title"]} for chart in charts),
        {"id": "layers", "title": "Layers"},
        {"id": "claims", "title": "Claims"},
        {"id": "files", "title": "Files"},
        {"id": "manifest", "title": "Manifest"},
    ]
    has_layers = not found.layers.empty
    return page.render(
        title=f"Focal report: {names}" + (" (partial)" if found.gaps else ""),
        version=__version__,
        css=here.joinpath("page.css").read_text(encoding="utf-8"),
        script=here.joinpath("page.js").read_text(encoding="utf-8"),
        plotly=_plotly_script(),
        summary=_summary(found),
        gaps=found.gaps,
        sections=sections,
        table=_table(found, frames),
        charts=charts,
        maps=_maps(found) if has_layers else "",
        maps_absent="" if has_layers else _NO_LAYERS,
        claims=_claims(found, root),
        links=[
            *(_link(run.name, path, beside) for run in found.runs for path in run.links),
            *(_link("overlay", path, beside) for path in found.overlays),
        ],
        runs=[
            {"name": run.name, "text": json.dumps(run.manifest, indent=1, sort_keys=True, ensure_ascii=False)}
            for run in found.runs
        ],
        footer=f"Focal {__version__}. Simulated numbers unless marked otherwise.",
    )


def _link(run: str, path: Path, beside: Path) -> dict[str, str]:
    relative = os.path.relpath(path.resolve(), beside.resolve())
    # A leading ./ keeps a name with a colon from being read as a protocol.
    return {"href": "./" + quote(Path(relative).as_posix()), "text": f"{run}/{path.name}"}


def write_report(found: RunSet, root: Path, output: Path) -> None:
    """Write the page; see `report_html` for errors."""
    atomic_write_text(output, report_html(found, root, output.parent))
