"""Runs of benchmark folders with the tables that SparseZip's tools write, and one joined summary without holes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import torch

from focal.studies.sparsezip.benchmark_folders import FolderQuestion, Split
from focal.studies.sparsezip.budgets import flops
from focal.studies.sparsezip.metrics import PARSERS, first_word, mme_score, pope_score
from focal.studies.sparsezip.published_settings import PublishedSettings
from focal.studies.sparsezip.results import Results
from focal.studies.sparsezip.summary import COLUMNS, summary
from focal.studies.tables import write_table
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.kernels.sparsevlm import PUBLISHED_LAYERS
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.prompts.media.reading import read_image
from focal_algorithm.tracing.prompting import build_prompt
from focal_algorithm.tracing.runner import method_of
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError, FocalError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash, manifest
from focal_common.reading.frames import csv_frame
from focal_common.statistics import wilson

_CONVERTED = {
    "liuhaotian/llava-v1.5-7b": "llava-hf/llava-1.5-7b-hf",
    "liuhaotian/llava-v1.5-13b": "llava-hf/llava-1.5-13b-hf",
}
"""Checkpoints in LLaVA's own layout, and the same weights as transformers reads them."""
_SHIPPED = "shapes_image"
_DEFECTS = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError)
Track = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True)
class PublishedModel:
    """A model with the method of a run.

    Attributes:
        loaded: The model.
        method: The method.
        configuration: What the tables call it.
        digest: Hash of method, parameters, model and length of answers.
        notes: One sentence for each thing that is not as it was asked.
    """

    loaded: LoadedModel
    method: CompressionMethod
    configuration: str
    digest: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class AnsweredSplit:
    """Rows of ``results.jsonl`` of a sub-task or variant.

    Attributes:
        split: What was asked.
        rows: One a question, in order.
    """

    split: Split
    rows: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def done(self) -> list[dict[str, Any]]:
        """Rows with an answer."""
        return [row for row in self.rows if row["status"] == "done"]

    @property
    def status(self) -> str:
        """``done``; ``partial``, where a question has no answer; ``failed``, where none has; else that of the split."""
        if self.split.status != "found":
            return self.split.status
        return "done" if len(self.done) == len(self.rows) else "partial" if self.done else "failed"

    @property
    def reason(self) -> str:
        """Why it is not ``done``: the first reason, and how many questions have no answer."""
        lost = [row["reason"] for row in self.rows if row["status"] != "done"]
        if not lost:
            return self.split.reason
        return f"{len(lost)} of {len(self.rows)} questions were not answered; the first: {lost[0]}"


def open_published(settings: PublishedSettings, device: str, dtype: str) -> PublishedModel:
    """Load the model and build the method of a run.

    Raises:
        FocalError: No such model, or the method cannot be built for it.
    """
    name, notes = settings.model or _SHIPPED, []
    if not settings.model:
        notes.append(f"no model is named; the shipped {_SHIPPED} answers")
    if name in _CONVERTED and not Path(name).exists():
        notes.append(f"{name} is in LLaVA's own layout; the same weights are loaded from {_CONVERTED[name]}")
        name = _CONVERTED[name]
    try:
        loaded = load_model(
            name, size="", seed=0, dtype=dtype, attention="sdpa", device=device, is_offline=False
        )
    except ConfigError as error:
        raise ConfigError(
            f"{error}; give --model_path a folder, or {_SHIPPED} for the shipped model"
        ) from error
    layers = loaded.geometry.layers
    if settings.method == "sparsevlm" and layers != PUBLISHED_LAYERS:
        notes.append(
            f"retained_tokens is a mean over the {PUBLISHED_LAYERS} layers of LLaVA-1.5-7B and 576 visual tokens; this "
            f"model has {layers} layers, and visual_tokens of a row says what it worked on"
        )
    run = RunSettings(output=Path(), method=settings.method, parameters=dict(settings.parameters))
    method = method_of(run, loaded)[0]
    facts = [settings.method, settings.parameters, loaded.checkpoint, settings.new_tokens, dtype]
    return PublishedModel(loaded, method, settings.method, content_hash(facts)[:16], tuple(notes))


def answered(
    model: PublishedModel, settings: PublishedSettings, splits: Sequence[Split], track: Track
) -> list[AnsweredSplit]:
    """Ask every question once; what cannot be asked or answered keeps a row with its reason."""
    found, is_warm = [], False
    for split in splits:
        asked = split.questions[: settings.limit]
        if not is_warm and asked:
            for one in asked[: settings.warmup]:
                _row(model, settings, one)
            is_warm = True
        rows = tuple(
            _row(model, settings, one) for one in track(asked, split.name or "questions", len(asked))
        )
        found.append(AnsweredSplit(split, rows))
    return found


def write_published(
    model: PublishedModel,
    settings: PublishedSettings,
    benchmark: str,
    found: Sequence[AnsweredSplit],
    output: Path,
    *,
    is_one_folder: bool,
) -> None:
    """Write ``results.jsonl``, ``summary.csv``, the table of the benchmark, ``summary_final.csv``, ``manifest.json``.

    Args:
        model: What answered.
        settings: Of the run.
        benchmark: ``mme``, ``pope``, ``vqa``, ``shapes-mme`` or ``shapes-pope``.
        found: Answers.
        output: Folder; other benchmarks in its ``summary_final.csv`` stay.
        is_one_folder: Whether answers lie in the folder itself, not in ``results/outputs_SPLIT``.

    Raises:
        ConfigError: ``summary_final.csv`` is there and is none of ours.
    """
    joined = [*other_rows(output, benchmark), *final_rows(model, benchmark, found)]
    kind = benchmark.removeprefix("shapes-")
    table = []
    for one in found:
        scores = _scores(kind, one)
        state = {"status": one.status, "reason": one.reason}
        name = "subtask" if kind == "mme" else "variant"
        table.append({name: one.split.name} | scores | _times(one) | state)
        if one.rows:
            folder = output if is_one_folder else output / "results" / f"outputs_{one.split.name}"
            lines = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in one.rows)
            atomic_write_text(folder / "results.jsonl", lines)
            values = scores | _times(one) | state
            write_table(
                folder / "summary.csv", [{"metric": key, "value": value} for key, value in values.items()]
            )
    if not is_one_folder:
        write_table(output / f"{kind}_summary.csv", table)
    write_table(output / "summary_final.csv", joined, COLUMNS)
    facts = manifest(
        {"method": settings.method, "parameters": dict(settings.parameters)},
        "torch", "transformers", "numpy",
        model=model.loaded.checkpoint, config_hash=model.digest, benchmark=benchmark,
        new_tokens=settings.new_tokens, limit=settings.limit, notes=[*settings.notes, *model.notes],
    )  # fmt: skip
    del facts["command"]  # holds paths of this machine
    atomic_write_text(
        output / f"manifest_{benchmark}.json", json.dumps(facts, indent=1, sort_keys=True) + "\n"
    )


def other_rows(output: Path, benchmark: str) -> list[dict[str, Any]]:
    """Return the rows of other benchmarks in a folder's ``summary_final.csv``; none where there is no such file.

    Raises:
        ConfigError: It lacks a column of ours.
    """
    path = output / "summary_final.csv"
    if not path.exists():
        return []
    hint = "expected a summary that focal sparsezip wrote; choose another output folder"
    frame = csv_frame(path, COLUMNS, ConfigError, hint)
    kept = frame[frame["benchmark"] != benchmark]
    return _plain(kept)


def final_rows(model: PublishedModel, benchmark: str, found: Sequence[AnsweredSplit]) -> list[dict[str, Any]]:
    """Return the rows of one benchmark: every metric by both parsers, and a row for each split that is not whole."""
    shared = {
        "model": model.loaded.checkpoint, "configuration": model.configuration, "method": model.method.name,
        "config_hash": model.digest, "benchmark": benchmark,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    done = [(one.split.name, row) for one in found for row in one.done]
    if done:
        counts = {
            "visual_tokens": fmean(row["visual_tokens"] for _, row in done),
            "flops": fmean(row["flops"] for _, row in done),
        }
        if benchmark == "vqa":
            hits = sum(_is_match(row) for _, row in done)
            low, high = wilson(hits, len(done))
            rows.append(
                shared
                | {
                    "split": "all", "parser": "exact", "metric": "accuracy", "value": hits / len(done), "ci_low": low,
                    "ci_high": high, "n": len(done), "n_unparsed": sum(not row["pred"] for _, row in done),
                    "visual_tokens_mean": counts["visual_tokens"], "flops_mean": counts["flops"], "status": "done",
                    "reason": "", "origin": "measured",
                }
            )  # fmt: skip
        else:
            rows += _metrics(shared, counts, done)
    broken = {one.split.name for one in found if one.status != "done"}
    for row in rows:
        if row["split"] in broken or (broken and row["split"] == "all"):
            row["status"] = "partial"  # scored over what was answered
    for one in found:
        if one.status != "done":
            lost = len(one.rows) - len(one.done)
            state = {"status": one.status, "reason": one.reason, "origin": "missing", "n": lost}
            rows.append(shared | {"split": one.split.name or "all", "metric": "all"} | state)
    return rows


def _metrics(
    shared: dict[str, Any], counts: dict[str, float], done: Sequence[tuple[str, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return what `summary` makes of the answers to yes-or-no questions."""
    name = shared["configuration"]
    questions = pd.DataFrame(
        [
            {
                "benchmark": shared["benchmark"], "split": split or "all questions", "picture_id": row["picture_id"],
                "truth": row["answers"][0],
            }
            for split, row in done
        ]
    )  # fmt: skip
    answers = pd.DataFrame({name: [row["pred"] for _, row in done]})
    configuration = pd.DataFrame([shared | counts | {"status": "done", "reason": ""}])
    results = Results(Path(), questions, answers, configuration, {}, {})
    return [row for parser in PARSERS for row in _plain(summary(results, parser))]


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table; None for an empty cell."""
    values = frame.astype(object)
    rows = values.where(values.notna(), None).to_dict("records")
    return [{str(column): value for column, value in row.items()} for row in rows]


def _row(model: PublishedModel, settings: PublishedSettings, one: FolderQuestion) -> dict[str, Any]:
    row: dict[str, Any] = {
        "qid": one.qid, "image_path": str(one.picture) if isinstance(one.picture, Path) else one.picture.sample_id,
        "picture_id": one.picture_id, "prompt": one.text, "pred": "", "answers": list(one.answers),
        "load_ms": None, "preprocess_ms": None, "end2end_ms": None, "num_new_tokens": None, "visual_tokens": None,
        "flops": None, "method": model.method.name, "config_hash": model.digest,
    }  # fmt: skip
    if one.problem:
        return row | {"status": "failed", "reason": one.problem}
    try:
        return row | _answer(model, settings.new_tokens, one) | {"status": "done", "reason": ""}
    except FocalError as error:
        return row | {"status": "failed", "reason": str(error)}
    except _DEFECTS as error:
        # One question must not lose the others; the kind tells a defect from a limit.
        return row | {
            "status": "failed",
            "reason": " ".join(f"{type(error).__name__}: {error}".split())[:400],
        }


def _answer(model: PublishedModel, new_tokens: int, one: FolderQuestion) -> dict[str, Any]:
    """Answer a question; times are milliseconds of this machine, of whole phases."""
    loaded = model.loaded
    started = time.perf_counter()
    sample = read_image(one.picture) if isinstance(one.picture, Path) else one.picture
    read = time.perf_counter()
    prompt = build_prompt(loaded, sample, one.text)
    prepared = time.perf_counter()
    whole = prompt.layout.sequence_tokens
    with (
        torch.inference_mode(),
        attach(loaded.model, loaded.adapter, model.method, None, [prompt.layout]),
        _lengths(loaded) as lengths,
    ):
        output = loaded.model.generate(**prompt.inputs, max_new_tokens=new_tokens, do_sample=False)
        written = output[0, whole:].tolist()  # waits for the device
    ended = time.perf_counter()
    text_tokens = whole - prompt.layout.visual_tokens
    return {
        "pred": loaded.tokenizer.decode(written).strip(),
        "load_ms": 1e3 * (read - started),
        "preprocess_ms": 1e3 * (prepared - read),
        "end2end_ms": 1e3 * (ended - prepared),
        "num_new_tokens": len(written),
        "visual_tokens": fmean(length - text_tokens for length in lengths),
        "flops": flops(loaded.geometry, lengths),
    }


@contextmanager
def _lengths(loaded: LoadedModel) -> Iterator[list[int]]:
    """Yield the tokens that each decoder layer works on in the coming prefill."""
    found: list[int] = []
    layers = [point.layer for point in loaded.adapter.points(loaded.model).layers]

    def see(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if len(found) < len(layers):
            hidden = arguments[0] if arguments else keywords["hidden_states"]
            found.append(hidden.shape[1])

    handles = [layer.register_forward_pre_hook(see, with_kwargs=True) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _scores(kind: str, one: AnsweredSplit) -> dict[str, Any]:
    """Return the published columns of a split; empty where nothing was answered."""
    names = {
        "mme": ("mme_acc", "mme_count_q", "mme_acc_plus", "mme_count_pair", "mme_score"),
        "pope": ("pope_acc", "pope_precision", "pope_recall", "pope_f1", "pope_yes_ratio"),
        "vqa": ("vqa_acc",),
    }[kind]
    said, truths = [row["pred"] for row in one.done], [row["answers"][0] for row in one.done]
    values: tuple[Any, ...] = (None,) * len(names)
    if said and kind == "mme":
        score = mme_score([row["picture_id"] for row in one.done], truths, said)
        values = tuple(score[key] for key in ("accuracy", "questions", "accuracy_plus", "images", "score"))
    elif said and kind == "pope":
        score = pope_score(said, truths)
        values = tuple(score[key] for key in ("accuracy", "precision", "recall", "f1", "yes_ratio"))
    elif said:
        values = (fmean(_is_match(row) for row in one.done),)
    unparsed = None if kind == "vqa" else sum(first_word(text) is None for text in said)
    return dict(zip(names, values, strict=True)) | {
        "n": len(one.rows), "n_answered": len(said), "n_unparsed": unparsed,
    }  # fmt: skip


def _times(one: AnsweredSplit) -> dict[str, float | None]:
    """Return mean, median and 95th percentile (linear interpolation) of the milliseconds of answering."""
    spent = [row["end2end_ms"] for row in one.done]
    names = [f"end2end_{name}_ms" for name in ("avg", "p50", "p95")]
    if not spent:
        return dict.fromkeys(names)
    values = (fmean(spent), *np.percentile(spent, (50, 95)).tolist())
    return dict(zip(names, map(float, values), strict=True))


def _is_match(row: dict[str, Any]) -> bool:
    """Return whether an answer is one of the right ones, whatever its case, its blanks and its full stop."""

    def plain(text: str) -> str:
        return " ".join(text.lower().split()).rstrip(".")

    return plain(row["pred"]) in map(plain, row["answers"])
