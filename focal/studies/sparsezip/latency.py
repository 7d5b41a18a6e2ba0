"""Where the milliseconds go: tower, selection, projector, prefill, and each decoded token; measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor

from focal.studies.sparsezip.configuration import Configuration
from focal.studies.sparsezip.evaluate import hooked_method, selection
from focal.studies.sparsezip.model import ModelUnderStudy
from focal_algorithm.hooks.attach import attach
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import ConfigError

PHASES = ("vision", "compress", "projector", "prefill", "decode")
_RESAMPLES, _SEED = 500, 0  # of the bootstrap

LENGTHS = (1, 2, 4, 8, 16)
"""New tokens of the fixed-length runs; a model that would stop earlier goes on."""


def measured(
    study: ModelUnderStudy,
    configurations: Sequence[Configuration],
    pictures: int,
    lengths: Sequence[int] = LENGTHS,
    track: Callable[[Iterable[int]], Iterable[int]] = lambda items: items,
) -> pd.DataFrame:
    """Answer one question per picture at every length; methods take turns, so that a busy machine slows all alike.

    Args:
        study: Model and questions.
        configurations: What to time.
        pictures: How many.
        lengths: New tokens per answer, forced.
        track: Wraps the pictures to show progress.

    Returns:
        One row per answer: ``configuration``, ``picture``, ``new_tokens`` and the milliseconds of each of `PHASES`.
    """
    texts = dict(reversed(study.questions.prompts()))
    for configuration in configurations:
        _answer(study, configuration, 0, texts[0], lengths[0])  # first calls load kernels
    rows = []
    for number in track(range(min(pictures, len(texts)))):
        for length in lengths:
            for configuration in configurations:
                spent = _answer(study, configuration, number, texts[number], length)
                about = {"configuration": configuration.name, "picture": number, "new_tokens": length}
                rows.append(about | spent)
    return pd.DataFrame(rows)


def latency_rows(times: pd.DataFrame) -> list[dict[str, Any]]:
    """Return by configuration the median of each phase, and the line through total milliseconds over new tokens.

    The line has 95 % intervals by bootstrap over pictures, percentiles: a picture answers at every length, so
    whole pictures are drawn, for what slowed the machine for one slowed all of it.

    Args:
        times: See `measured`.

    Raises:
        ConfigError: All answers have one length.
    """
    rows = []
    for name, own in _with_total(times).groupby("configuration", sort=False):
        lengths, totals = (own.pivot(index="picture", columns="new_tokens", values=value).to_numpy()
                           for value in ("length", "total"))  # fmt: skip
        if len(np.unique(lengths)) < 2:
            raise ConfigError(f"latency: {len(own)} answers of one length; expected at least two lengths")
        draws = np.random.default_rng(_SEED).integers(0, len(totals), (_RESAMPLES, len(totals)))
        fits = [_line(lengths[drawn], totals[drawn]) for drawn in draws]
        intervals = np.percentile(fits, (2.5, 97.5), axis=0).T
        decoding = own[own["new_tokens"] > 1]
        per_token_ms, fixed_ms, r_squared = _line(lengths, totals)
        rows.append(
            {"configuration": name}
            | {f"{phase}_ms": float(own[phase].median()) for phase in PHASES[:-1]}
            | {
                "decode_ms_per_token": float((decoding["decode"] / (decoding["new_tokens"] - 1)).median()),
                "fit_ms_per_token": per_token_ms, "fit_fixed_ms": fixed_ms, "fit_r_squared": r_squared,
                "answers": len(own),
            }
            | {
                f"fit_{fitted}_{end}": float(value)
                for fitted, interval in zip(("per_token_ms", "fixed_ms", "r_squared"), intervals, strict=True)
                for end, value in zip(("low", "high"), interval, strict=True)
            }
            | {"spread": spread(own)}
        )  # fmt: skip
    return rows


def spread(times: pd.DataFrame) -> float:
    """Return how noisy the machine was: interquartile range over median of the total, mean over the lengths."""
    totals = _with_total(times).groupby("new_tokens")["total"]
    return float(((totals.quantile(0.75) - totals.quantile(0.25)) / totals.median()).mean())


def length_matched(times: pd.DataFrame, reference: str) -> list[dict[str, Any]]:
    """Return the median total per configuration and length, and the share of the reference's at the same length."""
    medians = _with_total(times).groupby(["configuration", "new_tokens"], sort=False)["total"].median()
    rows = []
    for name, length in medians.index.tolist():
        total = float(medians[name, length])
        share = total / float(medians[reference, length])
        rows.append(
            {
                "configuration": name, "new_tokens": length, "total_ms": total, "over_reference": share,
                "reference": reference,
            }
        )  # fmt: skip
    return rows


def _with_total(times: pd.DataFrame) -> pd.DataFrame:
    return times.assign(total=times[list(PHASES)].sum(axis=1), length=times["new_tokens"])


def _line(lengths: Any, totals: Any) -> tuple[float, float, float]:
    """Return slope, intercept, and the share of the variance that the line explains."""
    line = stats.linregress(lengths.ravel(), totals.ravel())
    return float(line.slope), float(line.intercept), float(line.rvalue) ** 2


@torch.no_grad()
def _answer(
    study: ModelUnderStudy, configuration: Configuration, number: int, text: str, length: int
) -> dict[str, float]:
    """Return the milliseconds of each phase; the phases run one by one, which a whole forward would not show."""
    spent = dict.fromkeys(PHASES, 0.0)
    adapter, points = study.vision_model.loaded.adapter, study.vision_model.points
    picture, decoder = study.features[number], study.model.get_decoder()
    frames = study.evaluator.questions.samples[number].media().frames
    pixels = adapter.visual_inputs(study.model, frames, False).inputs["pixel_values"]
    with _timed(spent, "vision"):
        points.tower(pixels)
    with _timed(spent, "compress"):
        answer = selection(study, configuration, picture, text) if configuration.place == "before" else None
    rows = picture.features
    if answer is not None:
        prefix = picture.prefix[: int(configuration.with_prefix)]
        rows = torch.cat((prefix, rows[answer.kept], answer.merged))
    with _timed(spent, "projector"):
        visual = points.projector(rows) if points.projector is not None else rows
    before, after = map(study.embeddings, study.token_ids(text))
    hidden = torch.cat((before, visual, after))[None]
    with _attached(study, configuration, number, text):
        with _timed(spent, "prefill"):
            cache, word = _step(study.model, hidden, None)
        with _timed(spent, "decode"):
            for _ in range(length - 1):
                cache, word = _step(study.model, decoder.embed_tokens(word)[None], cache)
    return spent


def _step(model: Any, hidden: Tensor, cache: Any) -> tuple[Any, Tensor]:
    output = model.get_decoder()(inputs_embeds=hidden, use_cache=True, **{cache_name(): cache})
    word = model.lm_head(output.last_hidden_state[:, -1]).argmax(-1)
    return cache_of(output), word


def _attached(study: ModelUnderStudy, configuration: Configuration, number: int, text: str) -> Any:
    if configuration.place != "hooks":
        return nullcontext()
    method, _ = hooked_method(study, configuration)
    layouts = [study.layout(number, text)]
    return attach(study.model, study.vision_model.loaded.adapter, method, layouts=layouts)


@contextmanager
def _timed(spent: dict[str, float], phase: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[phase] += 1e3 * (time.perf_counter() - started)
