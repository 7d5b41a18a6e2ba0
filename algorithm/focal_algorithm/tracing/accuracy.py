"""What is said of a finished run: how many questions it answered right, and what the user should know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.methods.base import CompressionMethod, hook_points
from focal_algorithm.models.weights import TRAINED_ON
from focal_algorithm.prompts.media.media import Question
from focal_algorithm.tasks.asking import BENCHMARKS, AskedTask, parse_choice
from focal_algorithm.tracing.identity import (
    AskedPart,
    checkpoint_digest,
    checkpoint_label,
    configuration_hash,
    questions_hash,
)
from focal_algorithm.tracing.settings import RunSettings
from focal_common.statistics import accuracy
from focal_traces.counts.trace import Trace
from focal_traces.header.schema import TraceHeader

if TYPE_CHECKING:
    from focal_algorithm.tracing.prompting import TracedSample


def judged(question: Question, answer: str) -> dict[str, Any]:
    """Return what a sample record says of an answer; one that names none of the choices is wrong and unparsable."""
    said = parse_choice(answer, question.choices)
    return {"is_right": said == question.answer, "is_parsable": said is not None}


def run_accuracy(
    settings: RunSettings,
    task: AskedTask,
    method: CompressionMethod,
    header: TraceHeader,
    questions: Sequence[Question],
    records: Sequence[dict[str, Any]],
    pixels: Sequence[str],
) -> dict[str, Any]:
    """Return accuracy with its 95 % interval (Wilson), over all questions and by sub-task.

    Args:
        settings: Settings of the run.
        task: What it asked.
        method: With its parameters.
        header: Of the trace.
        questions: One per record.
        records: With ``sample_id``, ``answer``, and ``dense_answer`` where the run compares with the dense model.
        pixels: SHA-256 of the picture of each question.
    """
    answers = [record["answer"] for record in records]
    dense = [record.get("dense_answer") for record in records]
    digest = questions_hash(
        (shown, question.text, question.answer) for shown, question in zip(pixels, questions, strict=True)
    )
    weights = checkpoint_digest(settings.model, settings.size, settings.seed, header.checkpoint)
    configuration = configuration_hash(
        checkpoint=weights,
        dtype=settings.dtype,
        precision=settings.precision,
        device=settings.device,
        attention=settings.attention,
        parts=[AskedPart(method, settings.new_tokens, (), digest)],
    )
    return {
        "origin": "measured",
        "task": task.name,
        "split": task.split,
        "task_seed": task.seed,
        "samples": len({record["sample_id"].rpartition("-")[0] for record in records}),
        "checkpoint": checkpoint_label(header.checkpoint, weights),
        "method": method.name,
        "precision": settings.dtype if settings.precision == "float" else settings.precision,
        "linear_layers": header.quantization or f"in {settings.dtype}",
        **_counted(questions, answers),
        "by_kind": _by_kind(questions, answers),
        "dense": None if None in dense else _counted(questions, [str(answer) for answer in dense]),
        "questions_sha256": digest,
        "config_sha256": configuration,
    }


def _counted(questions: Sequence[Question], answers: Sequence[str]) -> dict[str, Any]:
    found = [judged(question, answer) for question, answer in zip(questions, answers, strict=True)]
    right = [bool(one["is_right"]) for one in found]
    share = accuracy([float(one) for one in right], [])
    return {
        "n": len(right),
        "right": sum(right),
        "unparsable": sum(not one["is_parsable"] for one in found),
        "unit": "percent",
        "accuracy": 100 * share.mean,
        "low": 100 * share.low,
        "high": 100 * share.high,
    }


def _by_kind(questions: Sequence[Question], answers: Sequence[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for question, answer in zip(questions, answers, strict=True):
        own = found.setdefault(question.kind, {"n": 0, "right": 0})
        own["n"] += 1
        own["right"] += int(judged(question, answer)["is_right"])
    return found


def foreign_notes(loaded: LoadedModel, generators: Iterable[str]) -> list[str]:
    """Say where a shipped model was asked about pictures that it has not learned.

    Args:
        loaded: The model.
        generators: Of the pictures, by name in `focal_algorithm.tasks.TASKS`; empty for pictures of no benchmark.
    """
    if not loaded.shipped:
        return []
    known = TRAINED_ON[loaded.shipped]
    foreign = dict.fromkeys(name or "of no procedural benchmark" for name in generators if name not in known)
    if not foreign:
        return []
    return [
        f"{loaded.name} was trained on {' and '.join(known)} alone; its answers about other pictures "
        f"({', '.join(foreign)}) mean nothing"
    ]


def unfit_notes(loaded: LoadedModel, traced: Sequence[TracedSample], task: AskedTask | None) -> list[str]:
    """Say where a model was asked what it was not trained for.

    Args:
        loaded: The model.
        traced: What it answered.
        task: Whose questions they are; None for other inputs.
    """
    words = dict.fromkeys(word for one in traced for word in loaded.tokenizer.unknown_words(one.question))
    return unknown_words_notes(loaded.name, words) + foreign_notes_of(loaded, task)


def unknown_words_notes(model: str, words: Collection[str]) -> list[str]:
    """Say which words of the questions a model's tokenizer does not know."""
    listed = ", ".join(f"'{word}'" for word in words)
    return [
        f"{model} does not know {listed}, which its tokenizer reads as unknown; the answer says little"
    ] * bool(words)


def foreign_notes_of(loaded: LoadedModel, task: AskedTask | None) -> list[str]:
    """Return `foreign_notes` about the pictures of a task; None for other inputs."""
    generator = "" if task is None else BENCHMARKS[task.name].task if task.name in BENCHMARKS else task.name
    return foreign_notes(loaded, [generator])


def idle_notes(method: CompressionMethod, trace: Trace) -> list[str]:
    """Say where a method had nothing to do, so that a dense trace is not taken for a compressed one."""
    headers = trace.header.samples
    notes = [
        f"{one.sample_id}: the prompt holds no visual token, so {method.name} passed it through"
        for one in headers
        if not one.visual_tokens
    ]
    if hook_points(method) and all(one.weighted_sparsity == 0 for one in headers):
        notes.append(
            f"{method.name} left out nothing in any prompt: its budget or threshold is not reached by these few "
            "tokens; the trace is that of the dense model"
        )
    return notes
