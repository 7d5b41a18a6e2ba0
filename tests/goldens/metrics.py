"""The file of scores: answer parsers, POPE and MME in both conventions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from focal.studies.sparsezip.metrics import first_word, mme_score, official_pope, pope_score
from goldens.comparing import compare

PREFIX = "metrics"

_EXACT = 1e-12


def check(path: Path) -> list[str]:
    """Return what differs; times, percentiles and ANLS of documents are stored there and not ours."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    wrong: list[str] = []
    answers, truths = stored["preds"], stored["golds"]
    if "repo_yes_no" in stored and [first_word(text) for text in answers] != stored["repo_yes_no"]:
        wrong.append("repo_yes_no: the first whole word is read differently")
    if "official_pope_labels" in stored:
        labels = [official_pope(text) for text in answers]
        if labels != stored["official_pope_labels"]:
            wrong.append(f"official_pope_labels: got {labels}")
    wrong += _check_pope(stored, pope_score(answers, truths))
    if "official_pope_stdout" in stored:
        wrong += _check_official(stored["official_pope_stdout"], pope_score(answers, truths, "official"))
    if "mme_rows" in stored:
        images, _, truths, texts = map(list, zip(*stored["mme_rows"], strict=True))
        score = mme_score(images, truths, texts)
        wrong += _compare(
            stored["mme_acc"] | stored["mme_acc_plus"],
            {
                "mme_acc": score["accuracy"],
                "mme_count_q": score["questions"],
                "mme_acc_plus": score["accuracy_plus"],
                "mme_count_pair": score["images"],
            },
        )
    return wrong


def _check_pope(stored: dict[str, Any], score: dict[str, float]) -> list[str]:
    got = {
        "pope_acc": score["accuracy"],
        "pope_correct": score["correct"],
        "pope_total": score["questions"],
        "pope_precision": score["precision"],
        "pope_recall": score["recall"],
        "pope_f1": score["f1"],
        "pope_acc_derived": score["parsed_accuracy"],
        "pope_yes_ratio": score["yes_ratio"],
        "pope_tp": score["true_positives"],
        "pope_fp": score["false_positives"],
        "pope_tn": score["true_negatives"],
        "pope_fn": score["false_negatives"],
        "pope_total_samples": score["parsed"],
    }
    return _compare(stored.get("pope_acc", {}) | stored.get("pope_prf", {}), got)


def _check_official(printed: str, score: dict[str, float]) -> list[str]:
    counts = [int(number) for number in printed.splitlines()[1].split()]
    got = [
        score["true_positives"],
        score["false_positives"],
        score["true_negatives"],
        score["false_negatives"],
    ]
    wrong = compare("official counts", got, counts)
    rates = {
        name: float(value) for name, value in re.findall(r"^([A-Z][A-Za-z1 ]+): ([\d.]+)$", printed, re.M)
    }
    known = {
        "Accuracy": score["accuracy"],
        "Precision": score["precision"],
        "Recall": score["recall"],
        "F1 score": score["f1"],
        "Yes ratio": score["yes_ratio"],
    }
    return wrong + _compare(rates, known)


def _compare(expected: dict[str, Any], got: dict[str, Any]) -> list[str]:
    wrong: list[str] = []
    for name, value in expected.items():
        wrong += (
            compare(name, got[name], value, absolute=_EXACT) if name in got else [f"{name}: not computed"]
        )
    return wrong
