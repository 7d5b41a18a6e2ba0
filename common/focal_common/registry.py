"""A named family of plug-ins that loads nothing until one of them is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from focal_common.errors import ConfigError, near_matches

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps a name to ``"module:attribute"`` and imports it on first use.

    Built-in plug-ins stand in one visible table. Other distributions add theirs under the entry-point
    group. Listing names imports nothing, so help pages stay fast and torch-free.

    Args:
        family: What one plug-in is called in messages, such as ``"accelerator"``.
        table: Name to ``"module:attribute"``.
        group: Entry-point group of outside plug-ins, such as ``"focal.accelerators"``.
    """

    def __init__(self, family: str, table: Mapping[str, str], group: str) -> None:
        self._family = family
        self._table = dict(table)
        self._group = group
        self._outside_read = False

    def _targets(self) -> dict[str, str]:
        if not self._outside_read:
            for point in entry_points(group=self._group):
                if point.name in self._table:
                    raise ConfigError(
                        f"{self._family} '{point.name}' is defined twice: by Focal "
                        f"({self._table[point.name]}) and by an installed plug-in ({point.value}); "
                        "rename or uninstall one"
                    )
                self._table[point.name] = point.value
            self._outside_read = True
        return self._table

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._targets()

    def add(self, name: str, target: str) -> None:
        """Offer a plug-in of a package that stands above the one whose table this is."""
        self._table[name] = target

    def target(self, name: str) -> str:
        """Return the ``"module:attribute"`` behind a name; raises `ConfigError` if there is none."""
        targets = self._targets()
        if name not in targets:
            raise ConfigError(f"unknown {self._family} '{name}'; {near_matches(name, targets)}")
        return targets[name]

    def load(self, name: str) -> T:
        """Import and return the plug-in.

        Raises:
            ConfigError: The name is unknown; the message lists near matches.
        """
        module, _, attribute = self.target(name).partition(":")
        loaded: Any = importlib.import_module(module)
        for part in attribute.split(".") if attribute else []:
            loaded = getattr(loaded, part)
        return loaded  # type: ignore[no-any-return]
