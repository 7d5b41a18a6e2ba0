"""SparseZip files: scorers, K, merging, whole compressors of three lineages, text fusion.

The files name their cases but not every setting; settings that a name leaves open are tried from the published
ones, and one of them has to reproduce the case.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from focal_algorithm.kernels.hybrid_scores import (
    EPSILON,
    HybridWeights,
    add_cross_score,
    combine_layers,
    dynamic_k,
    hybrid_score,
    text_key_map,
)
from focal_algorithm.kernels.kmeans import (
    KMeansRules,
    join_clusters,
    kmeans,
    merge_by_kmeans,
)
from focal_algorithm.kernels.sparsezip import SparseZipRules, Variant, compress, patch_scores
from focal_algorithm.kernels.visionzip import merge_into_targets
from focal_common.errors import FocalError
from goldens.comparing import compare
from goldens.plain import VALUE, shortest, tensors
from goldens.published_forms import RecordedDraws, cross_score

PREFIX = "sz_"

# (attention, entropy, mutual) of the published configurations, the default first; then single terms.
_ALPHAS = (
    (1.0, 0.4, 0.6),
    (1.0, 0.8, 1.0),
    (1.0, 0.3, 0.5),
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.0, 0.0, 1.0),
)
_TAUS = ((0.2, 0.1), (0.15, 0.08))


def check(path: Path) -> list[str]:
    """Return what differs."""
    stored = tensors(path)
    if "cfg_c_kmin_kmax_eps" in stored:
        return _check_dynamic_k(stored)
    if "text_embeds" in stored:
        return _check_text_fusion(stored)
    if any(name.startswith("tok_") for name in stored):
        return _check_compressor(stored)
    if "attn_cls" in stored:
        return _check_scorer(path.name, stored)
    if any(name.startswith("cfg_") for name in stored):
        return _check_kmeans(stored)
    return _check_single_shot(stored)


# --- scores -----------------------------------------------------------------------------------------------


def _weights_of(stored: dict[str, Tensor], case: str) -> list[HybridWeights]:
    """Return the weights a case may have: those it names, else the file's, else the published ones."""
    named = re.search(r"tau_(\d+)_(\d+)_a_(\d+)_(\d+)_(\d+)", case)
    if named:
        numbers = [
            float(text) if not text.startswith("0") else float(f"0.{text[1:]}") for text in named.groups()
        ]
        # "08" may be a temperature of 0.08 or a weight of 0.8.
        tau_sim = [numbers[1], numbers[1] / 10]
        exact = [HybridWeights(*numbers[2:], numbers[0], low) for low in tau_sim]
        return [*exact, *(replace(one, entropy=one.entropy / 10) for one in exact)]
    for at, term in enumerate(("attn", "entropy", "mutual")):
        if f"{term}_only" in case:
            found = [0.0, 0.0, 0.0]
            found[at] = 1.0
            return [HybridWeights(*found, *tau) for tau in _taus(stored)]
    given = [tuple(map(float, stored[name])) for name in ("default_alphas", "alphas") if name in stored]
    return [HybridWeights(*alpha, *tau) for alpha in (*given, *_ALPHAS) for tau in _taus(stored)]


def _taus(stored: dict[str, Tensor]) -> list[tuple[float, float]]:
    found = [
        (float(stored[name][0]), float(stored[name][1])) for name in ("default_tau", "tau") if name in stored
    ]
    return found or list(_TAUS)


def _check_scorer(name: str, stored: dict[str, Tensor]) -> list[str]:
    is_min_max = "minmax" in name
    wrong: list[str] = []
    for case in (key for key in stored if key.startswith("out_")):
        verdicts = (
            _compare_scores(stored, case, weights, is_min_max, cross)
            for weights in _weights_of(stored, case)
            for cross in _crosses(stored, case)
        )
        wrong += shortest(verdicts)
    return wrong


def _crosses(stored: dict[str, Tensor], case: str) -> list[tuple[str, int] | None]:
    """Return the cross maps that a case may have used, and which axis holds the visual tokens."""
    if "cross" not in case or "skip" in case:
        return [None]
    tokens = stored["keys"].shape[1]
    found = [
        (name, axis - 1)
        for name, value in stored.items()
        if name.startswith("cross")
        for axis, size in enumerate(value.shape)
        if axis and size == tokens
    ]
    wanted = 4 if "cross4" in case else 3
    swapped = "lt" in case.lower()

    def is_unlikely(choice: tuple[str, int]) -> tuple[bool, bool]:
        dimensions = stored[choice[0]].ndim
        return dimensions != wanted, (choice[1] == dimensions - 2) == swapped

    return [*sorted(found, key=is_unlikely)]


def _compare_scores(
    stored: dict[str, Tensor],
    case: str,
    weights: HybridWeights,
    is_min_max: bool,
    cross: tuple[str, int] | None,
) -> list[str]:
    wrong: list[str] = []
    for sample in range(len(stored["attn_cls"])):
        attention, keys = stored["attn_cls"][sample, :, 1:], stored["keys"][sample, 1:]
        if "skip" in case:
            scores = attention.sum(dim=0)
            wrong += compare(f"{case} [{sample}]", scores, stored[case][sample], absolute=VALUE)
            continue
        layers = [hybrid_score(attention, keys, weights, is_min_max=is_min_max)]
        gates = None
        if "layer" in case or "multi" in case:
            second = stored["attn_cls_layer2"][sample, :, 1:], stored["keys_layer2"][sample, 1:]
            layers.append(hybrid_score(*second, weights, is_min_max=is_min_max))
            gates = None if "zero" in case or "gate" not in case else stored["gates_case"]
        scores = combine_layers(torch.stack(layers), gates)
        if cross is not None:
            added = cross_score(stored[cross[0]][sample], 1, cross[1])
            scores = add_cross_score(scores, added, float(stored.get("beta", torch.tensor(0.3))))
        wrong += compare(f"{case} [{sample}]", scores, stored[case][sample], absolute=VALUE)
    return wrong


def _check_dynamic_k(stored: dict[str, Tensor]) -> list[str]:
    wrong: list[str] = []
    for case, (offset, k_min, k_max, epsilon) in enumerate(stored["cfg_c_kmin_kmax_eps"].tolist()):
        bounds = {"offset": offset, "k_min": int(k_min), "k_max": int(k_max), "epsilon": epsilon}
        for name in (key for key in stored if key.startswith("k_")):
            rule = "spread" if "spread" in name else "variance"
            found = [dynamic_k(row, **bounds, rule=rule) for row in stored["scores"]]  # type: ignore[arg-type]
            wrong += compare(f"{name} [{case}]", found, stored[name][case])
    return wrong


# --- merging ----------------------------------------------------------------------------------------------


def _check_kmeans(stored: dict[str, Tensor]) -> list[str]:
    hidden, keys, weights = stored["hidden"][0], stored["keys"][0], stored["weights"][0]
    wrong: list[str] = []
    for name in (key for key in stored if key.startswith("out_")):
        case = name.removeprefix("out_")
        count, factor, iterations, joins = stored[f"cfg_{case}"].tolist()
        rules = KMeansRules(factor, int(iterations), bool(joins))
        draws = stored[f"rng_{case}"].tolist()
        wrong += shortest(
            compare(
                name,
                merge_by_kmeans(hidden, keys, int(count), rules, RecordedDraws(draws), shares)[0],
                stored[name][0],
                absolute=VALUE,
            )
            for shares in (
                (weights,) if case.endswith("_w") else (None,) if case.endswith("_now") else (None, weights)
            )
        )
    unit = keys / (keys.norm(dim=-1, keepdim=True) + EPSILON)
    for name in (key for key in stored if re.fullmatch(r"kmeans\d+_centroids", key)):
        stem = name.removesuffix("_centroids")
        draws = stored[f"{stem}_rng"].tolist()
        centres, assignment = kmeans(unit, len(stored[name]), 10, RecordedDraws(draws))
        wrong += compare(name, centres, stored[name], absolute=VALUE)
        wrong += compare(f"{stem}_assign", assignment, stored[f"{stem}_assign"])
    for name in (key for key in stored if key.startswith("agglo_")):
        first, last = (int(text) for text in re.findall(r"\d+", name))
        joined = join_clusters(stored[f"kmeans{first}_centroids"], last)
        wrong += compare(name, joined, stored[name], absolute=VALUE)
    return wrong


def _check_single_shot(stored: dict[str, Tensor]) -> list[str]:
    wrong: list[str] = []
    for name in (key for key in stored if key.startswith("out_")):
        weights = stored["weights"] if name.endswith("_w") else None
        merged = merge_into_targets(
            stored["hidden"],
            stored["keys"],
            len(stored[name]),
            merge="others",
            epsilon=EPSILON,
            repeats_targets=True,
            weights=weights,
        ).features
        wrong += compare(name, merged, stored[name], absolute=VALUE)
    return wrong


# --- whole compressors ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """What a stored case says about itself.

    Attributes:
        name: Without its ``tok_``.
        counts: K of each picture.
        contextual: C.
        variant: Lineage.
    """

    name: str
    counts: tuple[int, ...]
    contextual: int
    variant: Variant


def _check_compressor(stored: dict[str, Tensor]) -> list[str]:
    wrong: list[str] = []
    for key in (key for key in stored if key.startswith("tok_")):
        name = key.removeprefix("tok_")
        index = stored[f"idx_{name}"]
        lineage: Variant = "s3" if name.startswith("v26") else "s2" if name.startswith("v147") else "s1"
        counts = tuple(int((row >= 0).sum()) - 1 for row in index)
        case = _Case(name, counts, stored[key].shape[1] - index.shape[1], lineage)
        wrong += shortest(
            _compare_case(stored, case, rules, weights) for rules, weights in _settings(stored, case)
        )
        wrong += _check_counts(stored, case)
    return wrong


def _settings(stored: dict[str, Tensor], case: _Case) -> Iterator[tuple[SparseZipRules, Tensor | None]]:
    by_kmeans = f"rng_{case.name}" in stored
    rules = [KMeansRules()]
    if by_kmeans and f"cfg_{case.name}" in stored:
        _, factor, iterations, joins = stored[f"cfg_{case.name}"].tolist()
        rules = [KMeansRules(factor, int(iterations), bool(joins))]
    elif by_kmeans:
        rounds = (10, 1, 3, 5, 2, 4, 6, 8, 20)
        rules = [
            KMeansRules(f, i, j) for f, i, j in itertools.product((2.0, 1.0, 1.5, 3.0), rounds, (True, False))
        ]
    received = stored["attn_cls"][:, :, 1:].mean(dim=1)
    given = [
        stored[name][:, -received.shape[1] :]
        for name in ("weights", f"weights_{case.name}")
        if name in stored
    ]
    plain: list[tuple[bool, Tensor | None]] = [(False, None)]
    weighted: list[tuple[bool, Tensor | None]] = [
        *((False, one) for one in given),
        (True, None),
        (False, received),
    ]
    shares = weighted + plain if "weight" in case.name else plain + weighted
    for kmeans_rules, (by_score, weights), hybrid in itertools.product(
        rules, shares, _weights_of(stored, case.name)
    ):
        found = SparseZipRules(
            variant=case.variant,
            weights=hybrid,
            contextual=case.contextual,
            by_kmeans=by_kmeans,
            kmeans=kmeans_rules,
            weighs_by_score=by_score,
            attention_only="skip_hybrid" in case.name,
        )
        yield found, weights


def _compare_case(
    stored: dict[str, Tensor], case: _Case, rules: SparseZipRules, weights: Tensor | None
) -> list[str]:
    name = case.name
    draws = RecordedDraws(stored[f"rng_{name}"].tolist()) if rules.by_kmeans else None
    index = torch.full_like(stored[f"idx_{name}"], -1)
    tokens = torch.zeros_like(stored[f"tok_{name}"])
    for sample, count in enumerate(case.counts):
        attention, keys = stored["attn_cls"][sample, :, 1:], stored["keys"][sample, 1:]
        hidden = stored["hidden"][sample]
        scores = patch_scores(attention[None], keys[None], rules)
        shares = None if weights is None else weights[sample]
        try:
            done = compress(hidden[1:], keys, scores, rules, count=count, draws=draws, weights=shares)
        except FocalError as error:
            return [f"{name}: {error}"] * 9  # worse than any difference
        index[sample, : 1 + count] = torch.cat((torch.zeros(1, dtype=torch.int64), done.ranked + 1))
        made = torch.cat((hidden[:1], hidden[1:][done.dominant], done.contextual))
        tokens[sample, : len(made)] = made
    wrong = compare(f"idx_{name}", index, stored[f"idx_{name}"])
    return wrong + compare(f"tok_{name}", tokens, stored[f"tok_{name}"], absolute=VALUE)


def _check_counts(stored: dict[str, Tensor], case: _Case) -> list[str]:
    """Dynamic K: one offset and one pair of bounds, the file's own if it has them, give the counts of all pictures."""
    if "dyn" not in case.name.lower():
        return []
    offsets = _named(stored, case.name, "c_dynamic", "dynk_c") or [float(one) for one in range(-8, 25)]
    leasts = _named(stored, case.name, "k_min") or [1, 4, 8, 32]
    mosts = _named(stored, case.name, "k_max") or [64]
    floors = _named(stored, case.name, "dynk_eps", "eps") or [1e-6]
    rule = "spread" if case.variant == "s2" else "variance"
    for weights in _weights_of(stored, case.name):
        rules = SparseZipRules(variant=case.variant, weights=weights)
        scores = [
            patch_scores(attention[None, :, 1:], keys[None, 1:], rules)
            for attention, keys in zip(stored["attn_cls"], stored["keys"], strict=True)
        ]
        for offset, least, most, epsilon in itertools.product(offsets, leasts, mosts, floors):
            bounds = {"offset": offset, "k_min": int(least), "k_max": int(most), "epsilon": epsilon}
            if tuple(dynamic_k(row, **bounds, rule=rule) for row in scores) == case.counts:  # type: ignore[arg-type]
                return []
    return [f"{case.name}: no offset of {offsets} gives the counts {case.counts}"]


def _named(stored: dict[str, Tensor], case: str, *names: str) -> list[float]:
    """Return the values of a setting that a file carries, for one case or for all; empty if it carries none."""
    for name in names:
        for key in (f"{name}_{case}", name):
            if key in stored:
                return [float(value) for value in stored[key].flatten()]
    return []


def _check_text_fusion(stored: dict[str, Tensor]) -> list[str]:
    count, contextual = int(stored["k"]), int(stored["ctx"])
    beta = float(stored["beta"])
    weights = _weights_of(stored, "")[0]
    rules = SparseZipRules(weights=weights, contextual=contextual)
    wrong: list[str] = []
    for key in (key for key in stored if key.startswith("tok_")):
        name = key.removeprefix("tok_")
        text = {"none": None, "big": stored["text_embeds"], "small": stored.get("text_embeds_small")}[name]
        for sample, hidden in enumerate(stored["hidden"]):
            keys = stored["keys"][sample]
            cross = None if text is None else text_key_map(text[sample], keys)[1:]
            attention = stored["attn_cls"][sample, :, 1:]
            scores = patch_scores(attention[None], keys[None, 1:], rules, cross=cross, beta=beta)
            done = compress(hidden[1:], keys[1:], scores, rules, count=count)
            index = torch.cat((torch.zeros(1, dtype=torch.int64), done.ranked + 1))
            made = torch.cat((hidden[:1], hidden[1:][done.dominant], done.contextual))
            wrong += compare(f"idx_{name} [{sample}]", index, stored[f"idx_{name}"][sample])
            wrong += compare(f"{key} [{sample}]", made, stored[key][sample], absolute=VALUE)
    return wrong
