"""DyCoke files: frames reduced before the decoder, and the keys that decode steps read."""

from __future__ import annotations

from pathlib import Path

import torch

from focal_algorithm.kernels.dycoke import SAME_ATTENTION, attention_cosine
from focal_algorithm.methods.dycoke import DyCoke
from goldens.comparing import compare
from goldens.stored import Stored, stream_of

PREFIX = "dycoke_"


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored, wrong = Stored.load(path, "DyCoke")
    if "steps" in stored:
        wrong += _check_steps(stored)
    elif "cases" in stored:
        for number in range(stored["cases"]):
            case = stored.case(number)
            wrong += [f"case{number}: {line}" for line in _check_frames(case, case["K"]) + case.unread()]
    else:
        wrong += _check_frames(stored, stored["merging_ratio_K"])
    return wrong + stored.unread()


def _check_frames(stored: Stored, ratio: float) -> list[str]:
    features = stored.tensor("features")
    stream = stream_of(stored["frames"], 1, stored["tokens_per_frame"])
    answer = DyCoke(merging_ratio=ratio).before_layer(0, features, stream, None)
    rows = torch.arange(len(features)) if answer is None else answer.rows
    return compare("kept_rows", rows, stored["kept_rows"])


def _check_steps(stored: Stored) -> list[str]:
    start, visual, prompt = stored["visual_start"], stored["visual_length"], stored["prompt_tokens"]
    method = DyCoke(pruning_rate=stored["pruning_rate_P"])
    wrong = compare("similarity_threshold", SAME_ATTENTION, stored["similarity_threshold"])
    before, likeness, is_pruned = None, [], []
    for step in range(stored["steps"]):
        rows = stored.tensor(f"step{step}_attention").mean(dim=0)
        wrong += compare(f"step{step}_attention", len(rows), prompt + step + 1)
        attention = rows[start : start + visual].float()
        reads = method.reads(attention, before)
        likeness.append(0.0 if before is None else attention_cosine(attention, before[0]))
        is_pruned.append(not bool(reads.all()))
        is_open = torch.ones(len(rows), dtype=torch.bool)
        is_open[start : start + visual] = reads
        kept = is_open.nonzero().flatten()
        wrong += compare(f"step{step}_kept", kept, stored[f"step{step}_kept_positions_sorted"])
        before = torch.stack((attention, reads.float()))
    wrong += compare("similarity", likeness, stored["similarity"], absolute=1e-6)
    return wrong + compare("is_pruned", is_pruned, stored["is_pruned"])
