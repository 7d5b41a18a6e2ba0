"""Does a YAML file of SparseZip's page mean what it meant there, and is every key without effect told?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from focal.studies.sparsezip.published_settings import PublishedSettings, published_settings
from focal_common.errors import ConfigError, FocalError
from focal_common.reading.yaml_files import parse_yaml

ROOT = Path(__file__).resolve().parents[3]

PAGE = """\
model:
  model_type: llava_vzip
  model_path: liuhaotian/llava-v1.5-7b
  temperature: 0.0
  max_new_tokens: 16
  dominant: 54
  contextual: 16
  sparsezip:
    dynamic_k: true
    k_min: 8
    k_max: 64
    dynk:
      c: 8.0
      eps: 1.0e-6
    alphas:
      attn: 1.0
      entropy: 0.4
      mutual: 0.6
    tau_feat: 0.2
    tau_sim: 0.1
    cross_beta: 0.0
    merging:
      contextual_num: 16
      kmeans_init_factor: 2.0
      kmeans_iters: 10
      agglomerative: true
"""
"""The example of the page, as printed there."""


def read(text: str, tmp_path: Path, **overrides: Any) -> PublishedSettings:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return published_settings(path, overrides)


def test_the_example_of_the_page_is_sparsezip_with_its_values(tmp_path: Path) -> None:
    found = read(PAGE, tmp_path)
    assert (found.method, found.new_tokens, found.dataset) == ("sparsezip", 16, "vqa")
    assert found.parameters == {
        "dominant": 54, "contextual": 16, "dynamic_k": True, "k_min": 8, "k_max": 64, "dynk_c": 8.0,
        "alphas": [1.0, 0.4, 0.6], "tau_feat": 0.2, "tau_sim": 0.1, "cross_beta": 0.0, "kmeans_init_factor": 2.0,
        "kmeans_iters": 10, "agglomerative": True,
    }  # fmt: skip
    assert [note.split(" has no effect")[0] for note in found.notes if "no effect" in note] == [
        "model.contextual",
        "model.dominant 54",
    ]


@pytest.mark.parametrize("name", ["sparsezip_mme", "sparsezip_pope", "default"])
def test_our_own_files_hold_the_values_of_the_page(name: str, tmp_path: Path) -> None:
    ours, page = published_settings(ROOT / "config" / f"{name}.yaml", {}), read(PAGE, tmp_path)
    assert not [note for note in ours.notes if "dominant" not in note]
    if name == "default":
        assert (ours.method, ours.parameters) == ("dense", {})
    else:
        assert (ours.method, ours.parameters, ours.model) == (page.method, page.parameters, page.model)
        assert ours.dataset == name.removeprefix("sparsezip_")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    k_min: 8\n", "    k_min: 8\n    k_min: 32\n", "line 11: 'k_min' is given twice; the later value holds"),
        ("temperature: 0.0", "temperature: 0.7", "model.temperature 0.7 has no effect"),
        ("eps: 1.0e-6", "eps: 1.0e-3", "sparsezip.dynk.eps 0.001 has no effect"),
        ("agglomerative: true", "agglomerative: false", "loses the tokens of all clusters beyond"),
        ("dynamic_k: true", "dynamic_k: false", "sparsezip.k_max has no effect: K is fixed"),
        ("k_min: 8", "kmin: 8", "'model.sparsezip.kmin' has no effect: no run reads it; did you mean 'k_min'"),
        ("model:\n", "conv_mode: x\nmodel:\n", "'conv_mode' has no effect: it stands at the top"),
        ("model:\n", "model:\n  conv_mode: x\n", "model.conv_mode has no effect: the conversation"),
        ("model:\n", "model:\n  vision_zip_alpha: 2.0\n", "model.vision_zip_alpha has no effect"),
        ("model:\n", "model:\n  retained_tokens: 192\n", "model.retained_tokens has no effect: model_type"),
        ("model:\n", "runner: {seed: 1}\nmodel:\n", "runner.seed has no effect: nothing is drawn"),
        ("model:\n", "runner: {attn_implementation: eager}\nmodel:\n", "runner.attn_implementation has no effect"),
        ("llava_vzip", "llava", "model.sparsezip has no effect: model_type llava does not read it"),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_told_in_one_sentence(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert old in PAGE
    assert sum(says in note for note in read(PAGE.replace(old, new), tmp_path).notes) == 1
    assert not any(says in note for note in read(PAGE, tmp_path).notes)


def test_a_flat_file_is_the_untouched_model_and_every_key_of_it_is_told(tmp_path: Path) -> None:
    found = read("model_type: sparsezip\ndominant: 54\ndataset: mme\nunheard_of: 1\n", tmp_path)
    assert (found.method, found.model, found.dataset) == ("dense", "", "vqa")
    assert [note.split("'")[1] for note in found.notes] == ["model_type", "dominant", "dataset", "unheard_of"]


def test_the_later_of_two_values_holds(tmp_path: Path) -> None:
    text = PAGE.replace("    k_min: 8\n", "    k_min: 8\n    k_min: 32\n")
    assert read(text, tmp_path).parameters["k_min"] == 32
    with pytest.raises(ConfigError, match="duplicate key"):
        parse_yaml(text, "elsewhere")


@pytest.mark.parametrize(
    ("overrides", "method", "parameters"),
    [
        ({"model_type": "llava"}, "dense", {}),
        ({"model_type": "sparsevlm", "retained_tokens": 64}, "sparsevlm", {"retained_tokens": 64}),
        ({"model_type": "sparsevlm"}, "sparsevlm", {"retained_tokens": 192}),
        ({"model_type": "textaware"}, "visionzip", {"dominant": 54, "contextual": 16, "text_share": 0.6}),
    ],
)
def test_the_command_line_goes_over_the_file(
    overrides: dict[str, Any], method: str, parameters: dict[str, Any], tmp_path: Path
) -> None:
    found = read(PAGE, tmp_path, **overrides)
    assert (found.method, found.parameters) == (method, parameters)


def test_llava_vzip_without_a_section_is_visionzip(tmp_path: Path) -> None:
    found = read("model: {model_type: llava_vzip}", tmp_path, contextual=7)
    assert (found.method, found.parameters) == ("visionzip", {"dominant": 54, "contextual": 7})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: 3", "'model' must be a mapping"),
        ("model: {model_type: llavva}", "did you mean 'llava'"),
        ("model: {model_type: hybrid}", "uses a variable that it never sets"),
        ("model: {max_new_tokens: 0}", "model.max_new_tokens must be a whole number of at least 1, got 0"),
        ("runner: {limit: many}", "runner.limit must be a whole number of at least 1, got 'many'"),
        ("runner: {dataset: docvqa}", "dataset 'docvqa': its scores of free answers"),
        ("runner: {dataset: mne}", "did you mean 'mme'"),
        ("- 1", "expected a mapping"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(FocalError) as caught:
        read(text, tmp_path)
    assert says in str(caught.value)
