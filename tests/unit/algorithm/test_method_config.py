"""Does a method's YAML load as published, with every key checked?"""

from __future__ import annotations

from pathlib import Path

import pytest

from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.config import configured_parameters
from focal_algorithm.methods.sparsezip import SparseZip
from focal_common.errors import ConfigError

PUBLISHED = """
model:
  model_type: llava_vzip
  model_path: llava-v1.5-7b
  temperature: 0.0
  max_new_tokens: 16
  dominant: 54
  contextual: 16
  sparsezip:
    dynamic_k: true
    k_min: 8
    k_max: 64
    dynk: {c: 8.0, eps: 1.0e-6}
    alphas: {attn: 1.0, entropy: 0.4, mutual: 0.6}
    tau_feat: 0.2
    tau_sim: 0.1
    cross_beta: 0.0
    merging: {contextual_num: 12, kmeans_init_factor: 2.0, kmeans_iters: 10, agglomerative: true}
runner:
  dataset: mme
  seed: 42
"""


def load(text: str, folder: Path, method: str = "sparsezip") -> SparseZip:
    path = folder / "config.yaml"
    path.write_text(text)
    built = build_method(method, configured_parameters(method, path))
    return built  # type: ignore[return-value]


def test_the_published_layout_loads_as_it_is(tmp_path: Path) -> None:
    notes: list[str] = []
    path = tmp_path / "config.yaml"
    path.write_text(PUBLISHED)
    method = build_method("sparsezip", configured_parameters("sparsezip", path, notes.append))
    expected = {"dominant": 54, "contextual": 12, "k_min": 8, "k_max": 64}
    assert method == build_method("sparsezip", expected)
    assert len(notes) == 1
    assert "model.temperature" in notes[0]
    assert "runner.dataset" in notes[0]


def test_flat_budgets_without_a_section_are_the_defaults_of_the_published_wrapper(tmp_path: Path) -> None:
    method = load("model: {dominant: 20, contextual: 5}", tmp_path)
    assert (method.dominant, method.contextual, method.alphas) == (20, 5, (1.0, 0.0, 0.0))
    flat = load("dominant: 20\ncontextual: 5\n", tmp_path, "visionzip")
    assert (flat.dominant, flat.contextual) == (20, 5)
    same = load("model: {dominant: 20, contextual: 5}", tmp_path, "visionzip")
    assert same == flat
    assert configured_parameters("sparsezip", None) == {}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tau_feat", "tau_fat", "unknown field 'model.sparsezip.tau_fat'; did you mean 'tau_feat'"),
        ("entropy", "entropie", "did you mean 'entropy'"),
        ("k_min: 8", "k_min: 8\n    k_min: 9", 'found duplicate key "k_min"'),
        ("k_min: 8", 'k_min: "8"', "field 'model.sparsezip.k_min': Input should be a valid integer, got '8'"),
        ("dataset: mme", "data: mme", "unknown field 'runner.data'; did you mean 'dataset'"),
        ("tau_sim: 0.1", "tau_sim: 0.0", "tau_sim must be above 0"),
        ("k_max: 64", "k_max: 2", "k_max must be at least k_min"),
    ],
)
def test_mistakes_are_named(old: str, new: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(PUBLISHED.replace(old, new), tmp_path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_section_of_another_method_and_unknown_flat_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is for method sparsezip, but the method is visionzip"):
        load(PUBLISHED, tmp_path, "visionzip")
    with pytest.raises(ConfigError, match="did you mean 'dominant'"):
        load("dominnt: 20", tmp_path)
    text = "model: {skip_ctx_merge: true, sparsezip: {skip_ctx_merge: true}}"
    with pytest.raises(ConfigError, match="is given in 'model' and in"):
        load(text, tmp_path)


def test_published_bounds_follow_the_static_count() -> None:
    fixed = build_method("sparsezip", {"dominant": 54, "k_min": 60, "k_max": 62, "skip_dynamic_k": True})
    assert isinstance(fixed, SparseZip)
    assert (fixed.rules.dominant, fixed.rules.k_min, fixed.rules.k_max) == (54, 54, 62)
