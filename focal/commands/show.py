"""The verb ``focal show``: arguments only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from focal_common.commit import check_writable
from focal_common.console import errors_console, output_console
from focal_common.errors import ConfigError

if TYPE_CHECKING:
    from focal_evaluation.overlays.scene import Scene

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def show(
    trace: Annotated[
        Path,
        typer.Argument(help="Any file of a trace with frames beside it, such as NAME.counts.parquet."),
    ],
    layer: Annotated[
        int | None,
        typer.Option(
            help="Decoder layer; the last if not given. In HTML the one shown first.", show_default=False
        ),
    ] = None,
    sample: Annotated[
        str, typer.Option(help="Number or id of the sample; the median sample if not given.")
    ] = "",
    output: Annotated[
        Path, typer.Option("-o", "--output", help=".png for one layer; .gif, .mp4 or .html for all.")
    ] = Path("overlay.png"),
    diff: Annotated[
        Path | None,
        typer.Option(help="Another trace of the same inputs: show which tokens only one of the two keeps."),
    ] = None,
    frames: Annotated[
        Path | None, typer.Option(help="Frames of another run on the same inputs (NAME.frames.zip).")
    ] = None,
    shade: Annotated[bool, typer.Option(help="Shade tokens by the share of their vectors merged.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts of every layer as JSON.")] = False,
) -> None:
    """Draw what a method kept, merged and dropped on the pictures the model saw."""
    from focal_evaluation.overlays.files import check_name, write_overlay

    check_name(output, layer)
    check_writable(output.parent)
    from focal_evaluation.overlays.loading import read_sample, without_shares
    from focal_evaluation.overlays.scene import difference_scene, status_scene

    first = read_sample(trace, sample, frames)
    first = first if shade else without_shares(first)
    if diff is None:
        scene = status_scene(first)
    else:
        try:
            second = read_sample(diff, first.sample_id, frames)
        except ConfigError as error:
            raise ConfigError(
                f"the two traces have unequal inputs: {diff} has no sample '{first.sample_id}'"
            ) from error
        scene = difference_scene(first, second)
    chosen = scene.check_layer(layer)
    write_overlay(scene, chosen, output)
    for note in scene.notes:
        errors_console().print(f"note: {note}", markup=False)
    if as_json:
        output_console().print(json.dumps(_facts(scene, output)), markup=False, soft_wrap=True)
        return
    counts = zip(scene.looks, scene.counts(chosen), strict=True)
    words = ", ".join(f"{count} {look.label}" for look, count in counts if count)
    output_console().print(f"after layer {chosen}: {words}; of {scene.tokens} visual tokens", markup=False)
    output_console().print(f"wrote {output}", markup=False)


def _facts(scene: Scene, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "title": scene.title,
        "sample_id": scene.frames.sample_id,
        "visual_tokens": scene.tokens,
        "states": [look.label for look in scene.looks],
        "counts_by_layer": [scene.counts(layer) for layer in range(scene.layers)],
        "kept_by_layer": [scene.kept(layer) for layer in range(scene.layers)],
        "notes": list(scene.notes),
    }
