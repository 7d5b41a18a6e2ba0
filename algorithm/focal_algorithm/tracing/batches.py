"""Questions answered in batches, each with the answer that it gets alone.

The hooks keep the rows of a batch apart: padding, positions and what a method decides are those of each prompt. What a
batch changes is rounding, because products of another shape are summed in another order; a decision that hangs on the
last bits may then fall otherwise. So an answer counts only where, at every step, the best token led the second best by
more than a batch moves logits; every other question is asked again alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.generation import PER_TOKEN
from focal_algorithm.hooks.placement import is_spread
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.tracing.prompting import Prompt, answer_of

_LEADS = {torch.float32: (1e-4, 0.05)}
_HALF_LEADS = (0.1, 0.5)
"""Least lead of the best token over the second, as a share of the largest logit: of the untouched model, and under a
method. Source: measured on a CPU, batches of 8 against batches of 1 (docs/evaluation.md). Twice the largest move of a
logit was, in fp32, 2e-6 of the largest logit under dense and 2e-3 under Focus, where single vectors on the edge of its
threshold fall otherwise; in bf16 0.013 and 0.22."""

_MOST = 64
_MOST_ON_CPU = 8
"""Of a batch that the memory chooses: more gains nothing measurable there."""
_SHARE_OF_FREE = {"cuda": 0.8, "cpu": 0.5}
_WITH_EXTENT = ("image_sizes", "tgt_sizes")
"""Inputs that say how much of a picture's pixels is real, so that zeros may follow behind them."""


class Batches:
    """Answers prompts in batches.

    Args:
        loaded: The model.
        wanted: Questions in a batch; 0 for as many as the memory takes, measured on the first one. Halved for good
            where memory runs out.
        fitting: Given what asks the first question, carries that out and returns how many such fit; for tests.

    Attributes:
        size: Questions in the next batch.
        batched: Questions that were answered in a batch of several, or tried.
        repeated: Those of them that were asked again alone.
    """

    def __init__(
        self, loaded: LoadedModel, wanted: int, fitting: Callable[[Callable[[], Any]], int] | None = None
    ) -> None:
        self._loaded, self._is_auto = loaded, not wanted
        self._fitting = fitting or _fitting_of("" if is_spread(loaded.model) else loaded.model.device.type)
        self._is_measured = bool(wanted)
        self.size = wanted or 1
        self.batched = self.repeated = 0

    def answers(self, method: CompressionMethod, prompts: Sequence[Prompt], new_tokens: int) -> list[str]:
        """Return the greedy continuations of the first prompts: as many as one batch takes, at least one.

        Args:
            method: What to do.
            prompts: At least one.
            new_tokens: Most tokens to generate.

        Raises:
            RunError: Out of memory with a single prompt.
        """
        if not self._is_measured:
            found: list[str] = []
            self.size = self._fitting(lambda: found.append(self._alone(method, prompts[0], new_tokens)))
            self._is_measured = True
            return found
        while (count := _alike(prompts[: self.size])) > 1:
            try:
                together = _together(self._loaded, method, prompts[:count], new_tokens)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                self.batched += count
                self.repeated += together.count(None)
                if self._is_auto and self.batched >= 2 * _MOST_ON_CPU and 2 * self.repeated > self.batched:
                    self.size = 1
                return [
                    self._alone(method, prompt, new_tokens) if answer is None else answer
                    for prompt, answer in zip(prompts, together, strict=False)
                ]
            # Outside the handler, whose error holds the tensors of the failed batch.
            self.size = count // 2
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return [self._alone(method, prompts[0], new_tokens)]

    def note(self) -> str:
        """Return what a user should know of the batches; empty where there were none."""
        if not self.batched:
            return ""
        return (
            f"{self.repeated} of {self.batched} questions in batches were asked again alone, because their best token "
            "led by less than a batch may change"
        )

    def _alone(self, method: CompressionMethod, prompt: Prompt, new_tokens: int) -> str:
        return answer_of(self._loaded, method, None, prompt, new_tokens)


def lead_is_clear(scores: Tensor, method: CompressionMethod, dtype: torch.dtype) -> Tensor:
    """Return where the best token leads by more than a batch moves logits.

    Args:
        scores: Of the next token, axes (rows, vocabulary); -inf for tokens that are ruled out.
        method: What was attached.
        dtype: Of the model.

    Returns:
        Axes (rows), bool.
    """
    share = _LEADS.get(dtype, _HALF_LEADS)[bool(hook_points(method))]
    best = scores.topk(2, dim=-1).values
    largest = torch.where(scores.isfinite(), scores.abs(), 0).amax(-1)
    return (best[:, 0] - best[:, 1]) > share * largest


def _together(
    loaded: LoadedModel, method: CompressionMethod, prompts: Sequence[Prompt], new_tokens: int
) -> list[str | None]:
    """Return the continuation of each prompt; None where a batch cannot tell."""
    layouts = [prompt.layout for prompt in prompts]
    inputs = left_padded(prompts)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, None, layouts):
        output = loaded.model.generate(
            **inputs,
            max_new_tokens=new_tokens,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
    dtype = loaded.model.dtype
    clear = torch.stack([lead_is_clear(scores, method, dtype) for scores in output.scores], 1).tolist()
    ends = loaded.model.generation_config.eos_token_id
    known = set(ends if isinstance(ends, list) else () if ends is None else (ends,))
    answers: list[str | None] = []
    rows = output.sequences[:, inputs["input_ids"].shape[1] :].tolist()
    for row, is_clear in zip(rows, clear, strict=True):
        # What follows the end of an answer is padding.
        steps = next((step + 1 for step, token in enumerate(row) if token in known), len(row))
        answers.append(loaded.tokenizer.decode(row[:steps]) if all(is_clear[:steps]) else None)
    return answers


def left_padded(prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Return the inputs of one forward over several prompts, see `_alike`; padding comes first.

    The filling repeats the last token of its prompt, text in every family, so that what `generate` does to tokens that
    it has seen (``repetition_penalty``) is done to the same ones.
    """
    longest = max(prompt.layout.sequence_tokens for prompt in prompts)
    inputs: dict[str, Any] = {}
    for name in prompts[0].inputs:
        parts = [prompt.inputs[name] for prompt in prompts]
        if name in PER_TOKEN:
            fills = [int(part[0, -1]) if name == "input_ids" else 0 for part in parts]
            parts = [
                torch.nn.functional.pad(part, (longest - part.shape[1], 0), value=fill)
                for part, fill in zip(parts, fills, strict=True)
            ]
        else:
            most = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
            parts = [_grown(part, most) for part in parts]
        inputs[name] = torch.cat(parts)
    return inputs


def _grown(part: Tensor, most: Sequence[int]) -> Tensor:
    """Return a tensor with zeros behind each axis but the first."""
    pads = [pad for size, want in zip(part.shape[:0:-1], most[::-1], strict=True) for pad in (0, want - size)]
    return torch.nn.functional.pad(part, pads) if any(pads) else part


def _alike(prompts: Sequence[Prompt]) -> int:
    """Return how many prompts from the first on can be one batch: of the same inputs, and pixels of the same shape.

    Pixels of different shape can where further inputs say how much of them is real.
    """

    def shape(prompt: Prompt) -> list[tuple[str, Any]]:
        has_extent = any(name in prompt.inputs for name in _WITH_EXTENT)
        return [
            (name, value.ndim if name in PER_TOKEN or has_extent else value.shape[1:])
            for name, value in prompt.inputs.items()
        ]

    first = shape(prompts[0])
    return next((number for number, prompt in enumerate(prompts) if shape(prompt) != first), len(prompts))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a forward failed for lack of memory, of a device or of the machine."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _fitting_of(kind: str) -> Callable[[Callable[[], Any]], int]:
    return {"cuda": _fitting_on_cuda, "cpu": _fitting_on_cpu}.get(kind, _one)


def _one(ask: Callable[[], Any]) -> int:
    """Ask, and take one at a time, where memory cannot be measured."""
    ask()
    return 1


def _fitting_on_cuda(ask: Callable[[], Any]) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    ask()
    taken = torch.cuda.max_memory_allocated() - before
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return _count(free * _SHARE_OF_FREE["cuda"], taken, _MOST)


def _fitting_on_cpu(ask: Callable[[], Any]) -> int:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        before, free = _kib("/proc/self/status", "VmRSS"), _kib("/proc/meminfo", "MemAvailable")
    except (OSError, StopIteration):
        return _one(ask)
    ask()
    taken = _kib("/proc/self/status", "VmHWM") - before
    return _count(free * _SHARE_OF_FREE["cpu"], taken, _MOST_ON_CPU)


def _kib(path: str, name: str) -> int:
    lines = Path(path).read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _count(free: float, taken: int, most: int) -> int:
    return max(1, min(most, int(free / taken) if taken > 0 else most))
