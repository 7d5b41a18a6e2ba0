"""Does an identity hold what decides the answers: weights, commit, parameters in force, arithmetic, questions?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from focal.commands import eval as cli_eval
from focal.testing.prompts import tiny
from focal_algorithm.checkpoints import hub
from focal_algorithm.evaluation.lmms import answering
from focal_algorithm.evaluation.lmms.options import ModelOptions, options_from_arguments
from focal_algorithm.evaluation.lmms.request import Request
from focal_algorithm.matrix import accuracy
from focal_algorithm.matrix.rows import MatrixRow
from focal_algorithm.matrix.schema import DatasetSpec, Matrix, ModelSpec, Suite
from focal_algorithm.methods.build import build_method
from focal_algorithm.tracing.identity import (
    AskedPart,
    checkpoint_digest,
    checkpoint_label,
    configuration_hash,
    questions_hash,
)
from focal_common.files import sha256_of_file

COMMIT = "0123456789" * 4


def configuration(**changes: Any) -> str:
    asked = changes.pop("asked", [("pixels", "is there a dot?", "yes")])
    method = build_method("focus", changes.pop("parameters", {}))
    part = AskedPart(method, changes.pop("new_tokens", 4), (), questions_hash(asked))
    given = {"dtype": "fp32", "precision": "float", "device": "cpu", "attention": "sdpa"}
    return configuration_hash(**{"checkpoint": {"name": "a/b@1"}, "parts": [part]} | given | changes)


def test_whatever_decides_an_answer_changes_the_hash() -> None:
    found = [
        configuration(),
        configuration(checkpoint={"name": "a/b@2"}),
        configuration(precision="int8"),
        configuration(new_tokens=5),
        configuration(parameters={"alpha_list": (0.5,) * 5}),
        configuration(asked=[("pixels", "is there a dot?", "no")]),
        configuration(asked=[("others", "is there a dot?", "yes")]),
    ]
    assert len(set(found)) == len(found)
    assert configuration(parameters={"vector_size": 32}) == configuration()  # the default, spelled out


def test_a_hub_name_is_known_by_its_commit() -> None:
    options = ModelOptions(model="someone/model")
    first, second = (options.identity(f"someone/model@{commit}") for commit in ("1", "2"))
    assert first != second
    assert first == options.model_copy(update={"seed": 1, "revision": "main"}).identity("someone/model@1")
    assert checkpoint_label("someone/model@1", first["checkpoint"]) == "someone/model@1"


def test_random_weights_and_folders_have_labels(tmp_path: Path) -> None:
    assert checkpoint_label("random:0", checkpoint_digest("llava", "tiny", 0)) == "random:0"
    assert checkpoint_digest("llava", "tiny", 0) != checkpoint_digest("llava", "tiny", 1)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    named = checkpoint_label("mine", checkpoint_digest(str(tmp_path), "", 0))
    assert named == f"mine@{sha256_of_file(tmp_path / 'model.safetensors')[:12]}"
    (tmp_path / "config.json").write_text("{ }")
    assert checkpoint_label("mine", checkpoint_digest(str(tmp_path), "", 0)) == named
    (tmp_path / "more.safetensors").write_bytes(b"weights")
    assert checkpoint_label("mine", checkpoint_digest(str(tmp_path), "", 0)) not in (named, "mine@")


def test_a_pinned_revision_is_loaded_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(name: str, revision: str, is_offline: bool) -> Path:
        assert (name, revision, is_offline) == ("someone/model", COMMIT, True)
        return tmp_path / COMMIT

    tiny("llava").model.save_pretrained(tmp_path / COMMIT)
    monkeypatch.setattr(hub, "local_snapshot", snapshot)
    options = options_from_arguments({"model": "someone/model", "revision": COMMIT})
    found = answering.load(options)
    assert (found.checkpoint, found.name) == (f"someone/model@{COMMIT}", "llava")
    assert hub.pinned("llava", "main", True) == ("llava", "")


def test_an_accuracy_row_of_a_matrix_keeps_its_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []
    monkeypatch.setattr(Request, "run", lambda request, *others: asked.append(request))
    monkeypatch.setattr(accuracy, "set_environment", lambda is_offline: None)
    suite = Suite(models=("mine",), datasets=("pope",), method="dense", measure="accuracy")
    dataset = DatasetSpec(modality="image", task="pope")
    model = ModelSpec(family="llava", checkpoint="someone/model", revision=COMMIT)
    matrix = Matrix(models={"mine": model}, datasets={"pope": dataset}, suites={"dense": suite})
    accuracy.evaluate_row(MatrixRow("dense", "mine", "pope", suite, model, dataset), matrix, tmp_path)
    assert asked[0].options.revision == COMMIT  # a text, though all its characters are digits


def test_a_revision_of_digits_stays_a_text() -> None:
    assert cli_eval._arguments(f"revision={COMMIT}")["revision"] == COMMIT
