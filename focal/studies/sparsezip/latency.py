"""Where the milliseconds go: tower, selection, projector, prefill, and each decoded token; measured on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from focal.studies.sparsezip.bench import Bench
from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.evaluate import hooked_method, selection
from focal_algorithm.hooks.attach import attach
from focal_algorithm.training.recipe import recipe
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import ConfigError

__all__ = [
    "LENGTHS",
    "PHASES",
    "Fit",
    "Timed",
    "fit_interval",
    "fit_of",
    "latency_rows",
    "length_matched",
    "measured",
    "spread",
]

PHASES = ("vision", "compress", "projector", "prefill", "decode")
_RESAMPLES, _SEED = 500, 0  # of the bootstrap

LENGTHS = (1, 2, 4, 8, 16)
"""New tokens of the fixed-length runs; a model that would stop earlier goes on."""


@dataclass(frozen=True)
class Timed:
    """One answer of fixed length.

    Attributes:
        configuration: Its name.
        picture: Number of the picture.
        new_tokens: Length of the answer.
        milliseconds: By phase.
    """

    configuration: str
    picture: int
    new_tokens: int
    milliseconds: dict[str, float]

    @property
    def total_ms(self) -> float:
        """All phases."""
        return math.fsum(self.milliseconds.values())


@dataclass(frozen=True)
class Fit:
    """A straight line through total milliseconds over new tokens.

    Attributes:
        per_token_ms: Slope.
        fixed_ms: Intercept.
        r_squared: Share of the variance that it explains.
        answers: Points.
    """

    per_token_ms: float
    fixed_ms: float
    r_squared: float
    answers: int


def measured(
    bench: Bench,
    configurations: Sequence[Configuration],
    pictures: int,
    lengths: Sequence[int] = LENGTHS,
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
) -> list[Timed]:
    """Answer one question per picture at every length; methods take turns, so that a busy machine slows all alike.

    Args:
        bench: Model and questions.
        configurations: What to time.
        pictures: How many.
        lengths: New tokens per answer, forced.
        track: Wraps the pictures to show progress.
    """
    texts = bench.questions.texts()
    count = min(pictures, len(texts))
    for configuration in configurations:
        _answer(bench, configuration, 0, texts[0][0], lengths[0])  # first calls load kernels
    found = []
    for number in track(range(count)):
        for length in lengths:
            for configuration in configurations:
                spent = _answer(bench, configuration, number, texts[number][0], length)
                found.append(Timed(configuration.name, number, length, spent))
    return found


def fit_of(times: Sequence[Timed]) -> Fit:
    """Regress total milliseconds on new tokens.

    Raises:
        ConfigError: All answers have one length.
    """
    lengths = [one.new_tokens for one in times]
    if len(set(lengths)) < 2:
        raise ConfigError(f"latency: {len(times)} answers of one length; expected at least two lengths")
    line = stats.linregress(lengths, [one.total_ms for one in times])
    return Fit(float(line.slope), float(line.intercept), float(line.rvalue) ** 2, len(times))


def fit_interval(times: Sequence[Timed]) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of slope, intercept and R squared, by bootstrap over pictures, percentiles.

    A picture answers at every length, so whole pictures are drawn: what slowed the machine for one slowed all of it.
    """
    pictures = sorted({one.picture for one in times})
    by_picture = [[one for one in times if one.picture == number] for number in pictures]
    generator = np.random.default_rng(_SEED)
    draws = generator.integers(0, len(pictures), (_RESAMPLES, len(pictures)))
    fits = [fit_of([one for number in drawn for one in by_picture[number]]) for drawn in draws.tolist()]
    found = {}
    for name in ("per_token_ms", "fixed_ms", "r_squared"):
        low, high = np.percentile([getattr(fit, name) for fit in fits], (2.5, 97.5))
        found[name] = (float(low), float(high))
    return found


def spread(times: Sequence[Timed]) -> float:
    """Return how noisy the machine was: interquartile range over median of the total, mean over the lengths."""
    shares = []
    for length in sorted({one.new_tokens for one in times}):
        low, middle, high = np.percentile([t.total_ms for t in times if t.new_tokens == length], (25, 50, 75))
        shares.append((high - low) / middle if middle else 0.0)
    return float(np.mean(shares))


def latency_rows(times: Sequence[Timed]) -> list[dict[str, Any]]:
    """Return the median of each phase per configuration, and the line over all lengths."""
    rows = []
    for name in dict.fromkeys(one.configuration for one in times):
        own = [one for one in times if one.configuration == name]
        line, intervals = fit_of(own), fit_interval(own)
        decoding = [one for one in own if one.new_tokens > 1]
        per_token = _median([one.milliseconds["decode"] / (one.new_tokens - 1) for one in decoding])
        rows.append(
            {"configuration": name}
            | {f"{phase}_ms": _median([one.milliseconds[phase] for one in own]) for phase in PHASES[:-1]}
            | {
                "decode_ms_per_token": per_token, "fit_ms_per_token": line.per_token_ms,
                "fit_fixed_ms": line.fixed_ms, "fit_r_squared": line.r_squared, "answers": line.answers,
            }
            | {
                f"fit_{name}_{end}": value
                for name, pair in intervals.items()
                for end, value in zip(("low", "high"), pair, strict=True)
            }
            | {"spread": spread(own)}
        )  # fmt: skip
    return rows


def length_matched(times: Sequence[Timed], reference: str) -> list[dict[str, Any]]:
    """Return the median total per configuration and length, and the share of the reference's at the same length."""
    rows = []
    for name in dict.fromkeys(one.configuration for one in times):
        for length in sorted({one.new_tokens for one in times}):
            own, other = (
                _median([t.total_ms for t in times if t.configuration == which and t.new_tokens == length])
                for which in (name, reference)
            )
            rows.append(
                {
                    "configuration": name, "new_tokens": length, "total_ms": own,
                    "over_reference": own / other if other else float("nan"), "reference": reference,
                }
            )  # fmt: skip
    return rows


@torch.no_grad()
def _answer(
    bench: Bench, configuration: Configuration, number: int, text: str, length: int
) -> dict[str, float]:
    spent = dict.fromkeys(PHASES, 0.0)
    one, points, decoder = bench.features[number], bench.eyes.points, bench.eyes.model.get_decoder()
    pixels = torch.from_numpy(bench.questions.pictures[number]).permute(2, 0, 1)[None] / 255
    pixels = recipe("image").normalise(pixels)
    with _timed(spent, "vision"):
        points.tower(pixels)
    with _timed(spent, "compress"):
        answer = selection(bench, configuration, one, text) if configuration.place == "before" else None
    rows = one.features[1:]
    if answer is not None:
        prefix = one.features[: 1 if configuration.with_prefix else 0]
        rows = torch.cat((prefix, rows[answer.kept], answer.merged))
    with _timed(spent, "projector"):
        visual = points.projector(rows) if points.projector is not None else rows
    opening = decoder.embed_tokens(bench.prompts.opening)
    hidden = torch.cat((opening, visual, bench.text_embeddings(text)))[None]
    with _attached(bench, configuration, number, text):
        with _timed(spent, "prefill"):
            cache, word = _step(bench, hidden, None)
        with _timed(spent, "decode"):
            for _ in range(length - 1):
                cache, word = _step(bench, decoder.embed_tokens(word)[None], cache)
    return spent


def _step(bench: Bench, hidden: Tensor, cache: Any) -> tuple[Any, Tensor]:
    model = bench.eyes.model
    output = model.get_decoder()(inputs_embeds=hidden, use_cache=True, **{cache_name(): cache})
    word = model.lm_head(output.last_hidden_state[:, -1]).argmax(-1)
    return cache_of(output), word


def _attached(bench: Bench, configuration: Configuration, number: int, text: str) -> Any:
    if configuration.place != "hooks":
        return nullcontext()
    method, _ = hooked_method(bench, configuration)
    layouts = [bench.layout(f"picture {number}", text)]
    return attach(bench.eyes.model, bench.eyes.adapter, method, layouts=layouts)


@contextmanager
def _timed(spent: dict[str, float], phase: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[phase] += 1e3 * (time.perf_counter() - started)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    if not ordered:
        return 0.0
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
