"""What the study runs on, and which configurations: budgets, the 2 x 2 design, and the sweeps at a fixed total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from focal.studies.sparsezip.adaptive import AdaptiveK
from focal.studies.sparsezip.configuration import Configuration
from focal_common.errors import ConfigError, near_matches

PARTS = ("curve", "two_by_two", "audit", "adaptive", "sweep", "policy", "latency")

FIXED_TOTAL = 64
"""Total of adaptive K, policies and latency: the published one of VisionZip."""

SWEEP_TOTAL = 21
"""Total of the sweep: that of the published runs of 30 November. At 64 of 144 tokens nothing is lost that a knob could
win back."""

CURVE_METHODS = (
    "visionzip", "sparsezip", "sparsevlm", "random",
    "visionzip_placed", "sparsezip_placed", "sparsevlm2", "random_placed",
)  # fmt: skip
"""As published, then with tokens that keep their positions; ``sparsevlm2`` is SparseVLM 2.0, which does so itself.

``curve`` adds ``visionzip_text``: tokens renumbered as published, text where it stands after a whole picture. It tells
which of the two a decoder cannot bear.
"""

CUT_AFTER = 2
"""Layer, counted from 0, of the one cut: between those at which SparseVLM's proportions cut 8 layers (0, 1, 3)."""

_CONTEXTUAL = {21: 12, 32: 12, 64: 16, 87: 32, 128: 32}
"""C of SparseZip; 12 at 21 and 32 at 87 are published, 16 is its default, the others are chosen between them."""


@dataclass(frozen=True)
class StudySettings:
    """What the study runs on.

    Attributes:
        pope_pictures: Pictures of shapes-pope.
        mme_pictures: Pictures of shapes-mme.
        seed: Of the data.
        budgets: Totals of the curve: 21 and 64 are those of the published runs of 30 November, 87 of the last published
            configuration, 128 of the paper.
        square_budgets: Totals of the 2 x 2 design.
        parts: Of `PARTS`.
        timed_pictures: Pictures of the latency part.
    """

    pope_pictures: int = 60
    mme_pictures: int = 240
    seed: int = 0
    budgets: tuple[int, ...] = (21, 32, 64, 87, 128)
    square_budgets: tuple[int, ...] = (21, 32, 64)
    parts: tuple[str, ...] = PARTS
    timed_pictures: int = 20

    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in PARTS:
                raise ConfigError(f"unknown part '{part}' of the study; {near_matches(part, PARTS)}")
        if not self.budgets or min((*self.budgets, *self.square_budgets), default=0) < 20:
            raise ConfigError(
                f"budgets must be at least 20 visual tokens each: a method inside the decoder spends 18 of 144 "
                f"before its first cut; got {self.budgets} and {self.square_budgets}"
            )


def curve(budgets: Sequence[int]) -> list[Configuration]:
    """Return dense and every method at every budget; the total counts CLS."""
    found = [Configuration("dense", "curve", "dense", "dense")]
    for budget in budgets:
        share = round(budget * 10 / 64)
        random = {"scorer": "random", "merger": "none", "contextual": 0, "dominant": budget}
        before = {
            "visionzip": ("visionzip", {"dominant": budget - share, "contextual": share}, True),
            "sparsezip": ("sparsezip", _fixed(budget, _contextual(budget)), True),
            "random": ("zip_parts", random, False),
        }
        for name, (method, parameters, with_prefix) in before.items():
            for suffix in ("", "_placed", "_text") if name == "visionzip" else ("", "_placed"):
                found.append(
                    Configuration(
                        f"{name}{suffix}-{budget}", "curve", "before", method, parameters, budget,
                        with_prefix=with_prefix, keeps_positions=suffix == "_placed",
                        keeps_text_place=suffix == "_text",
                    )
                )  # fmt: skip
        for name, version in (("sparsevlm", {}), ("sparsevlm2", {"version": "2.0", "mode": "strict"})):
            found.append(
                Configuration(
                    f"{name}-{budget}", "curve", "hooks", "sparsevlm", version, budget, reads_text=True,
                    keeps_positions=name == "sparsevlm2",
                )
            )  # fmt: skip
    return found


def two_by_two(budgets: Sequence[int]) -> list[Configuration]:
    """Return the cells at each budget: two before the decoder, and inside it two forms that are equal differently.

    ``inside`` cuts three times in SparseVLM's proportions and has the budget as its mean over layers; its aware cell
    lets the question's raters choose, as SparseVLM does. ``onecut`` cuts once and keeps the budget from there on,
    chosen by the very scores of the cells before the decoder, so that only the place differs; ``onecut-raters``
    shows what the raters would have chosen there.

    Selection only, without CLS and merging, and every token keeps its position. Renumbering would hurt the tokens
    cut before the decoder alone.
    """
    found = []
    for budget in budgets:
        for awareness, scorer in (("agnostic", "attention"), ("aware", "projected_text")):
            found.append(
                Configuration(
                    f"before-{awareness}-{budget}", "two_by_two", "before", "zip_parts",
                    {"scorer": scorer, "merger": "none", "contextual": 0, "dominant": budget}, budget,
                    reads_text=awareness == "aware", with_prefix=False, keeps_positions=True,
                )
            )  # fmt: skip
        once = {"cut_after": CUT_AFTER}
        for cell, scorer, parameters in (
            ("inside-agnostic", "tower", {}), ("inside-aware", "raters", {}), ("onecut-agnostic", "tower", once),
            ("onecut-aware", "projected_text", once), ("onecut-raters", "raters", once),
        ):  # fmt: skip
            found.append(
                Configuration(
                    f"{cell}-{budget}", "two_by_two", "inside", scorer, parameters, budget,
                    reads_text=scorer != "tower", keeps_positions=True,
                )
            )  # fmt: skip
    return found


def adaptive_part(rules: Mapping[str, AdaptiveK], budget: int) -> list[Configuration]:
    """Return SparseZip with a K that follows the picture, by name of the rule; tokens keep their positions."""
    contextual = _contextual(budget)
    return [
        Configuration(
            f"adaptive-{name}-{budget}", "adaptive", "before", "sparsezip", _fixed(budget, contextual), budget,
            keeps_positions=True, adaptive=asdict(rule),
        )
        for name, rule in rules.items()
    ]  # fmt: skip


def as_published() -> dict[str, dict[str, Any]]:
    """Return SparseZip's published settings whose K is called dynamic, and a rule of ours beside them, for the audit.

    Source: seed default, configuration in force for the runs of 30 November, last published configuration, and the
    second lineage with it (VisionZip-exp repository, commits of November and December 2025).
    """
    last = {"alphas": (1.0, 0.8, 1.0), "dynk_c": 12.0, "k_min": 32, "k_max": 64, "contextual": 32,
            "tau_feat": 0.15, "tau_sim": 0.08, "dominant": 54}  # fmt: skip
    return {
        "s1 defaults": {},
        "s1 30 November": {"alphas": (1.0, 0.3, 0.5), "dynk_c": 7.0, "k_min": 8, "contextual": 12},
        "s1 last": last,
        "s2 last": last | {"variant": "s2"},
        "ours: attention mass 0.5": {"k_rule": "attention_mass", "k_min": 4, "k_max": 96, "dominant": 54},
    }


def sweep(budget: int) -> list[tuple[str, str, Configuration]]:
    """Return (knob, value, configuration) at one total; every knob moves alone from the defaults.

    Tokens keep their positions, so that renumbering does not hide what a knob does. ``k_min``, ``k_max`` and
    ``dynk_c`` act on a dynamic K only and so move the total too; who compares them must say so.
    """
    base = _contextual(budget)
    found: list[tuple[str, str, Configuration]] = []

    def add(knob: str, value: str, parameters: Mapping[str, Any], method: str = "sparsezip") -> None:
        name = f"{knob}={value}-{budget}"
        one = Configuration(name, "sweep", "before", method, parameters, budget, keeps_positions=True)
        found.append((knob, value, one))

    for knob, values in _sweep_values(budget).items():
        for value in values:
            shown = "/".join(f"{one:g}" for one in value) if isinstance(value, tuple) else str(value)
            count = value if knob == "contextual" else base
            add(knob, shown, _fixed(budget, count) | ({} if knob == "contextual" else {knob: value}))
    for knob, value, parameters in _moving_k(base):
        add(knob, str(value), parameters)
    for scorer, selector, merger in product(
        ("attention", "hybrid"), ("top", "diverse"), ("none", "targets_sum", "targets_mean", "kmeans")
    ):
        contextual = 0 if merger == "none" else base
        parameters = {
            "scorer": scorer, "selector": selector, "merger": merger, "contextual": contextual,
            "dominant": budget - 1 - contextual,
        }  # fmt: skip
        add("parts", f"{scorer}+{selector}+{merger}", parameters, "zip_parts")
    return found


def _sweep_values(budget: int) -> dict[str, tuple[Any, ...]]:
    """Return values by knob of SparseZip; its defaults are not among them."""
    base = _contextual(budget)
    counts = (1, base // 3, 2 * base // 3, base + (budget - 1 - base) // 2)
    return {
        "contextual": tuple(count for count in dict.fromkeys(counts) if 0 < count != base),
        "tau_feat": (0.05, 0.5, 1.0),
        "tau_sim": (0.02, 0.3, 1.0),
        "alphas": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.4, -0.6), (1.0, 0.8, 1.0)),
        "kmeans_init_factor": (1.0, 3.0, 4.0),
        "kmeans_iters": (1, 3, 30),
        "agglomerative": (False,),
        "merge_weights": ("attention",),
        "skip_ctx_merge": (True,),
        "variant": ("s3",),
    }


def _moving_k(contextual: int) -> list[tuple[str, float, dict[str, Any]]]:
    """Return (knob, value, parameters) of a K that follows the scores as published.

    The offset decides K alone where no bound is near, the bounds where they cut it: K is near the offset, so each
    bound gets one value that K never meets and two that it does.
    """
    loose = {"dynk_c": 8.0, "k_min": 1, "k_max": 64}

    def setting(**knobs: float) -> dict[str, Any]:
        own = loose | knobs
        # `dominant` widens the bounds, so it must lie between them.
        return {"dynamic_k": True, "dominant": own["k_min"], "contextual": contextual, **own}

    return (
        [("dynk_c", value, setting(dynk_c=value)) for value in (4.0, 8.0, 12.0)]
        + [("k_min", value, setting(k_min=value)) for value in (4, 12, 16)]
        + [("k_max", value, setting(k_max=value)) for value in (4, 6, 16)]
    )


def _fixed(budget: int, contextual: int) -> dict[str, Any]:
    return {"dynamic_k": False, "dominant": budget - 1 - contextual, "contextual": contextual}


def _contextual(budget: int) -> int:
    return _CONTEXTUAL.get(budget, max(1, budget // 4))
