"""Names of exhibits and of their groups; nothing is loaded before it is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from focal_common.errors import ConfigError, near_matches
from focal_common.registry import Registry
from focal_evaluation.exhibits.base import Exhibit

_HERE = __name__.rpartition(".")[0]
_FIGURES = (
    "fig9a",
    "fig9b",
    "fig9c",
    "fig10a",
    "fig10b",
    "fig10c",
    "fig10d",
    "fig11",
    "fig12a",
    "fig12b",
    "fig13",
)
_TABLES = ("table2", "table3", "table4", "table5")
_EXTRA: tuple[str, ...] = ("text",)
"""Neither figures nor tables of the paper."""

_TWINS = ("twin9a", "twin9b", "twin11", "twin12a", "twin12b", "twin2", "twin3", "twin5")

EXHIBITS: Registry[Exhibit] = Registry(
    "exhibit",
    {
        **{name: f"{_HERE}.{name}:EXHIBIT" for name in (*_FIGURES, *_TABLES, *_EXTRA)},
        **{name: f"{_HERE}.{name[:5]}:{name.upper()}" for name in (*_FIGURES[3:7], *_FIGURES[8:10])},
        **{name: f"{_HERE}.parity_vs_cycle:{name.upper()}" for name in _TWINS},
    },
    group="focal.exhibits",
)
"""Figures and tables; those of other distributions join under ``focal.exhibits``."""

GROUPS = {
    "all": (*_FIGURES, *_TABLES, *_EXTRA),
    "figures": _FIGURES,
    "tables": _TABLES,
    "fig9": _FIGURES[:3],
    "fig10": _FIGURES[3:7],
    "fig12": _FIGURES[8:10],
    "twins": _TWINS,
}
"""``all`` is what the paper shows; twins are asked for by name, because they simulate twice."""


def chosen_names(words: Iterable[str]) -> list[str]:
    """Return exhibits in the order of the paper, without repeats.

    Raises:
        ConfigError: A word is neither an exhibit nor a group; near matches are listed.
    """
    known = [*GROUPS["all"], *_TWINS, *(name for name in EXHIBITS)]
    asked: set[str] = set()
    for word in words:
        if word not in GROUPS and word not in EXHIBITS:
            raise ConfigError(f"unknown exhibit '{word}'; {near_matches(word, [*GROUPS, *EXHIBITS])}")
        asked.update(GROUPS.get(word, (word,)))
        if word == "all":
            # Exhibits of other distributions belong to everything.
            asked.update(name for name in EXHIBITS if name not in _TWINS)
    return [name for name in dict.fromkeys(known) if name in asked]
