"""FastVID files: segments, and what is left of a prompt in each of the three released forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from focal_algorithm.kernels.fastvid import frame_likeness, segment_sizes
from focal_algorithm.methods.fastvid import FastVid
from goldens.comparing import compare
from goldens.stored import Stored, stream_of

PREFIX = "fastvid_"
VARIANTS: dict[str, Any] = {
    "onevision_parallel": "parallel",
    "llava_video_newline": "shared",
    "qwen2_5_vl": "sampled",
}


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored, wrong = Stored.load(path, "FastVID")
    wrong += _check_segments(stored) if "cases" in stored else _check_prompt(stored)
    return wrong + stored.unread()


def _check_segments(stored: Stored) -> list[str]:
    wrong = []
    for number in range(stored["cases"]):
        case = stored.case(number)
        likeness = frame_likeness(case.tensor("global_features"))
        sizes = segment_sizes(likeness, case["c"], case["tau"])
        wrong += compare(f"case{number}_segment_sizes", sizes, case["segment_sizes"]) + case.unread()
    return wrong


def _check_prompt(stored: Stored) -> list[str]:
    video = stored.tensor("video_hidden")
    frames, tokens, width = video.shape
    before, after = (stored.tensor(f"text_{name}").to(video.dtype) for name in ("before", "after"))
    method = FastVid(
        variant=VARIANTS[stored["variant"]],
        retain_ratio=stored["retention_ratio"],
        segments=stored["dyseg_c"],
        segment_threshold=stored["dyseg_tau"],
        merged_share=stored["stprune_d"],
        anchor_step=stored["dtm_p"],
        anchor_weight=stored["dtm_beta"],
        **({"same_frame": stored["dyseg_ignore"]} if "dyseg_ignore" in stored else {}),
    )
    rows = stored.get("rows", 1)
    columns = stored.get("columns", tokens)
    wrong = compare("frames", frames, stored["frames"]) + compare("tokens of a frame", rows * columns, tokens)
    if "tokens_per_frame" in stored:
        wrong += compare("tokens_per_frame", tokens, stored["tokens_per_frame"])
    cells = video.view(frames, rows, columns, width)
    if "newline" in stored:
        newline = stored.tensor("newline").to(video.dtype).expand(frames, rows, 1, width)
        cells = torch.cat((cells, newline), dim=2)
    stream = stream_of(
        frames, rows, columns, before=len(before), after=len(after), separators=int("newline" in stored)
    )
    hidden = torch.cat((before, cells.reshape(-1, width), after))
    features = stored.tensor("frame_global_features")
    sizes = segment_sizes(
        frame_likeness(features), method.segments, method.segment_threshold, variant=method.variant
    )
    wrong += compare("segment_sizes", sizes, stored["segment_sizes"])
    answer = method.merged(hidden, stream, stored.tensor("frame_attention"), features)
    if answer is None or answer.hidden is None:
        return [*wrong, "nothing was merged"]
    wrong += compare("out_positions", answer.rows, stored["out_positions"])
    bound = stored.bound("video_hidden")
    return wrong + compare("out_hidden", answer.hidden.float(), stored["out_hidden"], absolute=bound)
