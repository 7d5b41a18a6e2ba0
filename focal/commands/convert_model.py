"""``focal convert-model``: rewrite a checkpoint that transformers cannot read as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from focal_common.console import output_console, track

app = typer.Typer(
    help="Rewrite a checkpoint for use with --model.", invoke_without_command=True, add_completion=False
)


@app.callback()
def convert_model(
    source: Annotated[Path, typer.Argument(help="Folder of a LLaVA-Video checkpoint as first published.")],
    target: Annotated[Path, typer.Argument(help="New folder.")],
) -> None:
    """Convert a LLaVA-Video checkpoint (model_type llava_qwen); its tensors are renamed, not changed."""
    from focal.environment import require_runnable

    require_runnable()
    from focal_algorithm.checkpoints.llava_video import convert_llava_video

    count = convert_llava_video(source, target, lambda items, total: track(items, "converting", total))
    output_console().print(f"{count} tensors written; use --model {target}", markup=False)
