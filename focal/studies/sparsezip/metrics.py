"""Scores of yes-or-no benchmarks from lists of answers, in the two conventions in use: pure functions, no files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from focal_common.errors import ConfigError

Answer = Literal["yes", "no"]
Parser = Literal["repo", "official"]
PARSERS: tuple[Parser, ...] = ("repo", "official")

_WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_NEGATIONS = ("No", "not", "no")
_QUESTIONS_PER_IMAGE = 2


def first_word(text: str) -> Answer | None:
    """Return the first whole word yes or no in any case; None if there is none."""
    found = _WORD.search(text)
    if found is None:
        return None
    return "yes" if found[1].lower() == "yes" else "no"


def official_pope(text: str) -> Answer:
    """Return no if a word before the first full stop is No, not or no, else yes: every answer counts.

    Source: evaluation script published with POPE (EMNLP 2023, arXiv:2305.10355), as LLaVA uses it.
    """
    sentence = text.split(".")[0].replace(",", "")
    return "no" if any(word in _NEGATIONS for word in sentence.split(" ")) else "yes"


def parse(text: str, parser: Parser) -> Answer | None:
    """Read an answer by a named convention: ``repo`` is `first_word`, ``official`` is `official_pope`."""
    return first_word(text) if parser == "repo" else official_pope(text)


def pope_score(answers: Sequence[str], truths: Sequence[str], parser: Parser = "repo") -> dict[str, float]:
    """Score one variant of POPE (EMNLP 2023, arXiv:2305.10355); yes is the positive answer.

    Args:
        answers: Text of the model.
        truths: Right answers.
        parser: See `parse`.

    Returns:
        Counts ``questions``, ``unparsed`` (neither yes nor no was found), ``parsed``, ``correct``, ``positives`` (said
        yes) and ``true_positives`` to ``false_negatives`` of the parsed ones; shares ``accuracy`` (an unparsed answer
        is wrong), ``parsed_accuracy``, ``precision``, ``recall``, ``f1`` (what papers print as POPE) and
        ``yes_ratio``, all but the first of the parsed ones; a share of nothing is 0.

    Raises:
        ConfigError: The two differ in length, or a right answer is neither yes nor no.
    """
    if len(answers) != len(truths):
        raise ConfigError(f"{len(answers)} answers to {len(truths)} questions; expected one each")
    for truth in truths:
        if truth not in ("yes", "no"):
            raise ConfigError(f"right answer '{truth}': expected yes or no")
    counts = Counter((parse(text, parser), truth) for text, truth in zip(answers, truths, strict=True))
    hits, false, missed = counts["yes", "yes"], counts["yes", "no"], counts["no", "yes"]
    unparsed = counts[None, "yes"] + counts[None, "no"]
    parsed, correct = len(answers) - unparsed, hits + counts["no", "no"]
    precision, recall = _share(hits, hits + false), _share(hits, hits + missed)
    return {
        "questions": len(answers),
        "unparsed": unparsed,
        "parsed": parsed,
        "correct": correct,
        "positives": hits + false,
        "true_positives": hits,
        "false_positives": false,
        "true_negatives": counts["no", "no"],
        "false_negatives": missed,
        "accuracy": _share(correct, len(answers)),
        "parsed_accuracy": _share(correct, parsed),
        "precision": precision,
        "recall": recall,
        "f1": _share(2 * precision * recall, precision + recall),
        "yes_ratio": _share(hits + false, parsed),
    }


def mme_score(
    images: Sequence[str], truths: Sequence[str], answers: Sequence[str], parser: Parser = "repo"
) -> dict[str, float]:
    """Score one sub-task of MME (arXiv:2306.13394).

    Args:
        images: Picture of each question; the two questions of a pair share it.
        truths: Right answers.
        answers: Text of the model.
        parser: See `parse`.

    Returns:
        Counts ``questions``, ``correct``, ``images`` and ``correct_images`` (both questions seen and right); shares
        ``accuracy`` of the questions and ``accuracy_plus`` of the images; and the official ``score``, at most 200.
    """
    by_image: dict[str, list[bool]] = {}
    for image, truth, text in zip(images, truths, answers, strict=True):
        by_image.setdefault(image, []).append(parse(text, parser) == truth)
    questions, correct = len(answers), sum(map(sum, by_image.values()))
    both = sum(len(image) >= _QUESTIONS_PER_IMAGE and all(image) for image in by_image.values())
    accuracy, accuracy_plus = _share(correct, questions), _share(both, len(by_image))
    return {
        "questions": questions,
        "correct": correct,
        "images": len(by_image),
        "correct_images": both,
        "accuracy": accuracy,
        "accuracy_plus": accuracy_plus,
        "score": 100 * accuracy + 100 * accuracy_plus,
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
