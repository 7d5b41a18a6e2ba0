"""SparseZip's YAML files as published: what a run takes from them, and a sentence for each key without effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, UnsupportedError, near_matches
from focal_common.reading.yaml_files import read_yaml

DATASETS = ("vqa", "mme", "pope")
_CAPTIONS = {"coco_caption": "captions (BLEU, CIDEr)", "docvqa": "free answers (ANLS)"}
MODEL_TYPES = ("llava", "llava_vzip", "sparsezip", "sparsevlm", "textaware")
_KEYS: dict[str, tuple[str, ...]] = {
    "": ("model", "runner"),
    "model": (
        "model_type", "model_path", "temperature", "max_new_tokens", "dominant", "contextual", "retained_tokens",
        "conv_mode", "vision_zip_alpha", "sparsezip",
    ),
    "model.sparsezip": (
        "dynamic_k", "k_min", "k_max", "dynk", "alphas", "tau_feat", "tau_sim", "cross_beta", "merging",
        "skip_hybrid_attn", "skip_dynamic_k", "skip_ctx_merge",
    ),
    "model.sparsezip.dynk": ("c", "eps"),
    "model.sparsezip.alphas": ("attn", "entropy", "mutual"),
    "model.sparsezip.merging": ("contextual_num", "kmeans_init_factor", "kmeans_iters", "agglomerative"),
    "runner": ("dataset", "ann_path", "output_dir", "warmup", "seed", "limit", "attn_implementation"),
}  # fmt: skip
"""Keys of each section. Source: the published runner."""
OVERRIDES = (*_KEYS["model"], *_KEYS["runner"])
"""Keys that the command line may set, too."""
_DOMINANT, _CONTEXTUAL, _RETAINED, _NEW_TOKENS, _WARMUP = 54, 10, 192, 16, 3
"""Where a file says nothing. Source: the published runner."""
_EPSILON, _TEXT_SHARE = 1e-6, 0.6
_REASONS = {
    "conv_mode": "the conversation is that of the model's family",
    "attn_implementation": "attention is read where a method needs it and fused elsewhere",
    "seed": "nothing is drawn: answers are greedy and k-means starts from farthest points",
}


@dataclass(frozen=True)
class PublishedSettings:
    """What one run takes from a file and the command line.

    Attributes:
        method: Registry name.
        parameters: Of the method.
        model: A shipped model, a folder or a Hub name; the shipped image model where nothing is said.
        new_tokens: Most tokens of an answer.
        warmup: Questions that are answered once before, unseen by the times.
        dataset: Of `DATASETS`.
        annotations: File of questions; empty for none.
        output: Folder of results; empty for none.
        limit: Most questions of each sub-task; None for all.
        notes: One sentence for each key without effect, and for what is not as it was.
    """

    method: str
    parameters: Mapping[str, Any]
    model: str
    new_tokens: int
    warmup: int
    dataset: str
    annotations: str
    output: str
    limit: int | None
    notes: tuple[str, ...]


def published_settings(path: Path, overrides: Mapping[str, Any]) -> PublishedSettings:
    """Read a YAML file as published.

    Args:
        path: Sections ``model`` and ``runner``.
        overrides: Values by key of either section that go over those of the file; None for none.

    Raises:
        ConfigError: Not YAML, a section that is no mapping, or a value that cannot be meant.
        UnsupportedError: A model type or data set that is not here.
    """
    repeated: list[str] = []
    tree = read_yaml(path, repeated=repeated)
    notes = [f"{path}, {one} is given twice; the later value holds" for one in repeated]
    sections = {name: _section(tree, name, str(path), notes) for name in _KEYS}
    model, runner = sections["model"], sections["runner"]
    for key, value in overrides.items():
        if value is not None:
            (runner if key in _KEYS["runner"] else model)[key] = value
    kind = str(model.get("model_type", "llava"))
    if kind == "hybrid":
        raise UnsupportedError("model_type 'hybrid': its published class uses a variable that it never sets")
    if kind not in MODEL_TYPES:
        raise ConfigError(f"{path}: model.model_type '{kind}'; {near_matches(kind, MODEL_TYPES)}")
    method, parameters, used = _method(kind, sections, notes)
    for key in _KEYS["model"][4:]:
        if key in model and key not in used:
            reason = _REASONS.get(key, f"model_type {kind} does not read it")
            notes.append(f"model.{key} has no effect: {reason}")
    for key in ("seed", "attn_implementation"):
        if key in runner:
            notes.append(f"runner.{key} has no effect: {_REASONS[key]}")
    if model.get("temperature", 0):
        notes.append(
            f"model.temperature {model['temperature']} has no effect: answers are greedy, as published"
        )
    dataset = str(runner.get("dataset", "vqa"))
    if dataset in _CAPTIONS:
        raise UnsupportedError(
            f"dataset '{dataset}': its scores of {_CAPTIONS[dataset]} are not here; expected {', '.join(DATASETS)}"
        )
    if dataset not in DATASETS:
        raise ConfigError(f"{path}: runner.dataset '{dataset}'; {near_matches(dataset, DATASETS)}")
    limit = runner.get("limit")
    return PublishedSettings(
        method=method,
        parameters=parameters,
        model=str(model.get("model_path") or ""),
        new_tokens=_count(model, "model.max_new_tokens", _NEW_TOKENS, 1),
        warmup=_count(runner, "runner.warmup", _WARMUP, 0),
        dataset=dataset,
        annotations=str(runner.get("ann_path") or ""),
        output=str(runner.get("output_dir") or ""),
        limit=None if limit is None else _count(runner, "runner.limit", 0, 1),
        notes=tuple(notes),
    )


def _section(tree: Mapping[str, Any], name: str, where: str, notes: list[str]) -> dict[str, Any]:
    """Return the known keys of a section, and note the others."""
    found: Any = tree
    for part in name.split(".") if name else ():
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: '{name}' must be a mapping of keys, got {found!r:.60}")
    for key in (str(key) for key in found if key not in _KEYS[name]):
        homes = [section for section in ("model", "runner", "model.sparsezip") if key in _KEYS[section]]
        if not name and homes:
            reason = f"it stands at the top, and is read in section '{homes[0]}' alone"
        else:
            reason = f"no run reads it; {near_matches(key, _KEYS[name])}"
        notes.append(f"{where}: '{f'{name}.{key}'.removeprefix('.')}' has no effect: {reason}")
    return {key: value for key, value in found.items() if key in _KEYS[name]}


def _method(
    kind: str, sections: Mapping[str, dict[str, Any]], notes: list[str]
) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """Return method, parameters, and the keys of section ``model`` that they came from."""
    model = sections["model"]
    counts = {
        "dominant": model.get("dominant", _DOMINANT),
        "contextual": model.get("contextual", _CONTEXTUAL),
    }
    if kind == "llava":
        return "dense", {}, ()
    if kind == "sparsevlm":
        return "sparsevlm", {"retained_tokens": model.get("retained_tokens", _RETAINED)}, ("retained_tokens",)
    if kind == "textaware":
        return "visionzip", counts | {"text_share": _TEXT_SHARE}, tuple(counts)
    if kind == "llava_vzip":
        if "sparsezip" not in model:
            return "visionzip", counts, tuple(counts)
        notes.append(
            "model.model_type llava_vzip with a section 'sparsezip' runs sparsezip, as its page says"
        )
    own, dynk, alphas, merging = (
        sections[f"model.sparsezip{part}"] for part in ("", ".dynk", ".alphas", ".merging")
    )
    used = ["dominant", "contextual", "sparsezip", "vision_zip_alpha"]
    parameters: dict[str, Any] = {"kmeans_init_factor": 2.0, "kmeans_iters": 10, "agglomerative": True}
    parameters |= counts | {key: value for key, value in own.items() if not isinstance(value, dict)}
    parameters |= {key: value for key, value in merging.items() if key != "contextual_num"}
    parameters["contextual"] = merging.get("contextual_num", counts["contextual"])
    parameters["dynk_c"] = dynk.get("c", 8.0)
    attention = model.get("vision_zip_alpha", 1.0)
    parameters["alphas"] = [
        alphas.get("attn", attention),
        alphas.get("entropy", 0.0),
        alphas.get("mutual", 0.0),
    ]
    if "vision_zip_alpha" in model and "attn" in alphas:
        notes.append("model.vision_zip_alpha has no effect: sparsezip.alphas.attn stands in its place")
    if "contextual" in model and "contextual_num" in merging:
        notes.append("model.contextual has no effect: sparsezip.merging.contextual_num stands in its place")
    if dynk.get("eps", _EPSILON) != _EPSILON:
        notes.append(f"sparsezip.dynk.eps {dynk['eps']} has no effect: the published code takes {_EPSILON:g}")
    _notes_on_counts(model, own, parameters, notes)
    return "sparsezip", parameters, tuple(used)


def _notes_on_counts(
    model: Mapping[str, Any], own: Mapping[str, Any], parameters: Mapping[str, Any], notes: list[str]
) -> None:
    """Note which counts of tokens decide nothing, and which tokens are lost as published."""
    low, high = parameters.get("k_min", 4), parameters.get("k_max", 64)
    is_dynamic = parameters.get("dynamic_k", True) and not parameters.get("skip_dynamic_k", False)
    if is_dynamic:
        dominant = parameters["dominant"]
        if (
            "dominant" in model
            and all(type(one) is int for one in (low, dominant, high))
            and low <= dominant <= high
        ):
            notes.append(f"model.dominant {dominant} has no effect: K is dynamic, within {low} and {high}")
    else:
        notes += [
            f"sparsezip.{key} has no effect: K is fixed at model.dominant {parameters['dominant']}"
            for key in ("k_min", "k_max", "dynk")
            if key in own
        ]
    factor = parameters["kmeans_init_factor"]
    if parameters["agglomerative"] is False and isinstance(factor, int | float) and factor > 1:
        notes.append(
            "sparsezip.merging.agglomerative false loses the tokens of all clusters beyond contextual_num, as published"
        )


def _count(section: Mapping[str, Any], name: str, default: int, least: int) -> int:
    value = section.get(name.rpartition(".")[2], default)
    if type(value) is not int or value < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {value!r:.40}")
    return value
