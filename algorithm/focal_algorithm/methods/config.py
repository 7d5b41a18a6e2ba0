"""Parameters of a method from a YAML file: plain fields, or the layout in which SparseZip was published.

The published layout has a section ``model`` (with ``sparsezip`` inside it) and a section ``runner``. Every key is
checked; keys that say nothing about the method are named in a note instead of being passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError
from focal_common.places import PlainName
from focal_common.reading.yaml_files import read_yaml


class _Exact(StrictModel):
    """No conversion of values: ``"54"`` is not 54."""

    model_config = ConfigDict(strict=True)


class _DynK(_Exact):
    c: float = 8.0
    eps: float = 1e-6


class _Alphas(_Exact):
    # Source: published wrapper; without weights only attention counts.
    attn: float = 1.0
    entropy: float = 0.0
    mutual: float = 0.0


class _Merging(_Exact):
    contextual_num: int | None = None
    kmeans_init_factor: float = 2.0
    kmeans_iters: int = 10
    agglomerative: bool = True


class _Switches(_Exact):
    skip_hybrid_attn: bool | None = None
    skip_dynamic_k: bool | None = None
    skip_ctx_merge: bool | None = None


class _SparseZip(_Switches):
    dynamic_k: bool = True
    k_min: int = 4
    k_max: int = 64
    dynk: _DynK = _DynK()
    alphas: _Alphas = _Alphas()
    tau_feat: float = 0.2
    tau_sim: float = 0.1
    cross_beta: float = 0.0
    merging: _Merging = _Merging()


class _Model(_Switches):
    model_type: Literal["llava_vzip", "sparsezip", "sparsevlm", "llava", "hybrid", "textaware"] | None = None
    model_path: str | None = None
    temperature: float | None = None
    max_new_tokens: int | None = None
    conv_mode: str | None = None
    dominant: int = 54
    contextual: int = 10
    retained_tokens: int | None = None
    vision_zip_alpha: _Alphas = _Alphas()
    sparsezip: _SparseZip = _SparseZip()


class _Runner(_Exact):
    dataset: PlainName | None = None
    ann_path: str | None = None
    output_dir: str | None = None
    warmup: int | None = None
    seed: int | None = None
    limit: int | None = None
    attn_implementation: str | None = None


class _Published(_Exact):
    model: _Model
    runner: _Runner = Field(default_factory=_Runner)


_NOT_OF_A_METHOD = ("model_type", "model_path", "temperature", "max_new_tokens", "conv_mode")


def configured_parameters(
    method: str, path: Path | None, note: Callable[[str], Any] = lambda sentence: None
) -> dict[str, Any]:
    """Return the hyper-parameters in a file, by field name of the method; none without a file.

    Args:
        method: Registry name.
        path: YAML file: fields of the method at the top level, or the published layout with ``model``.
        note: Takes a sentence about keys that have no effect here.

    Raises:
        ConfigError: Not YAML, a duplicate or unknown key (with near matches), a value of the wrong type, or a
            section of another method.
    """
    if path is None:
        return {}
    tree = read_yaml(path)
    if "model" not in tree:
        return tree
    found = validated(_Published, tree, str(path))
    unused = [f"model.{key}" for key in _NOT_OF_A_METHOD if key in found.model.model_fields_set]
    unused += [f"runner.{key}" for key in sorted(found.runner.model_fields_set)]
    if unused:
        note(f"{path}: {', '.join(unused)} say nothing about the method and have no effect here")
    return published_parameters(method, found.model, str(path))


def published_parameters(method: str, model: _Model, where: str) -> dict[str, Any]:
    """Return the parameters of a method from the section ``model``; raises `ConfigError` if it has none."""
    if method != "sparsezip" and "sparsezip" in model.model_fields_set:
        raise ConfigError(
            f"{where}: field 'model.sparsezip' is for method sparsezip, but the method is {method}"
        )
    if method == "visionzip":
        return {"dominant": model.dominant, "contextual": model.contextual}
    if method == "sparsevlm":
        return {} if model.retained_tokens is None else {"retained_tokens": model.retained_tokens}
    if method != "sparsezip":
        raise ConfigError(
            f"{where}: a file with a section 'model' is for sparsezip, visionzip or sparsevlm, but the method is "
            f"{method}; expected its fields at the top level"
        )
    settings = model.sparsezip
    alphas = settings.alphas if "alphas" in settings.model_fields_set else model.vision_zip_alpha
    merging = settings.merging
    return {
        "dominant": model.dominant,
        "contextual": model.contextual if merging.contextual_num is None else merging.contextual_num,
        "dynamic_k": settings.dynamic_k,
        "k_min": settings.k_min,
        "k_max": settings.k_max,
        "dynk_c": settings.dynk.c,
        "dynk_eps": settings.dynk.eps,
        "alphas": (alphas.attn, alphas.entropy, alphas.mutual),
        "tau_feat": settings.tau_feat,
        "tau_sim": settings.tau_sim,
        "cross_beta": settings.cross_beta,
        "kmeans_init_factor": merging.kmeans_init_factor,
        "kmeans_iters": merging.kmeans_iters,
        "agglomerative": merging.agglomerative,
        **_switches(settings, model, where),
    } | ({"text": "projected"} if model.model_type == "textaware" else {})


def _switches(inner: _Switches, outer: _Switches, where: str) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for name in _Switches.model_fields:
        given = [value for value in (getattr(inner, name), getattr(outer, name)) if value is not None]
        if len(given) > 1:
            raise ConfigError(
                f"{where}: field '{name}' is given in 'model' and in 'model.sparsezip'; expected one of them"
            )
        found[name] = bool(given and given[0])
    return found
