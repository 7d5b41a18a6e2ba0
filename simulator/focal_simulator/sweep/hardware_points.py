"""Builds the accelerator of a point quickly: only what a point changes is read and checked again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from focal_common.errors import ConfigError
from focal_simulator.accelerators.base import Accelerator
from focal_simulator.accelerators.presets import accelerator_from_tree, overridden
from focal_simulator.hardware.specs import GIVEN
from focal_simulator.sweep.axes import Settings

_MOST_PARTS = 10_000


def field_value(node: Any, path: str) -> Any:
    """Return the plain value of a dotted field of a hardware mapping; a quantity gives its number."""
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node.get("value") if isinstance(node, dict) and "value" in node else node


def refuse_truth(tree: dict[str, Any], field: str, value: Any, where: str) -> None:
    """Raise `ConfigError` for true or false where the hardware mapping has something else.

    As a number it would be 1 or 0, and YAML reads a yes alike.
    """
    base = field_value(tree, field)
    if isinstance(value, bool) and base is not None and not isinstance(base, bool):
        raise ConfigError(f"{where} with {field}={json.dumps(value)}: expected a value such as {base}")


class PointHardware:
    """Accelerators that differ from a base design in a few fields.

    A value is read from text and checked once, as an override would; the accelerator of a point puts
    checked values together, and runs the validators of every model they lie in. The result equals
    `build_accelerator` with the same overrides.

    Args:
        name: Registry name of the accelerator; a mapping with a base needs none.
        tree: Hardware mapping of the base design.
        where: Name of its file in messages.
        memories: Memory by the path that an axis gives as ``dram_system``.
    """

    def __init__(
        self, name: str, tree: dict[str, Any], where: str, memories: Mapping[str, Any] | None = None
    ) -> None:
        self._name, self._tree, self._where = name, tree, where
        self._memories = memories or {}
        self.base: Accelerator[Any] = accelerator_from_tree(name, tree, where)
        self._plugin = type(self.base)
        self._checked: dict[tuple[str, str], Any] = {}
        self._parts: dict[tuple[str, str], Any] = {}

    def checked_value(self, field: str, value: Any) -> Any:
        """Return the checked node of one field.

        Raises:
            ConfigError: No such field, with the nearest valid name, or a value it does not take.
        """
        key = (field, repr(value))
        if key not in self._checked:
            refuse_truth(self._tree, field, value, self._where)
            tree = self._overridden(field, value)
            node: Any = accelerator_from_tree(
                self._name, tree, f"{self._where} with {field}={value}"
            ).hardware
            for part in field.split("."):
                node = node[part] if isinstance(node, dict) else getattr(node, part)
            self._checked[key] = node
        return self._checked[key]

    def _overridden(self, field: str, value: Any) -> dict[str, Any]:
        if field in ("dram_system", "dram"):
            if isinstance(value, str) and value in self._memories:
                return {**self._tree, "dram_system": GIVEN, "dram": self._memories[value]}
            field = "dram_system"
        return overridden(self._tree, [f"{field}={json.dumps(value)}"], self._where)

    def accelerator(self, settings: Settings) -> Accelerator[Any]:
        """Return the accelerator with these fields.

        Args:
            settings: Value by dotted field of the hardware file.

        Raises:
            ConfigError: See `checked_value`; or the values contradict each other.
        """
        if not settings:
            return self.base
        if (system := settings.get("dram_system")) is not None:
            # A memory is the name of a preset or what a file holds; both fields say which.
            if odd := next((field for field in settings if field.startswith("dram.")), None):
                raise ConfigError(
                    f"{self._where}: dram_system and {odd} vary; expected one memory, or its fields"
                )
            settings = {**settings, "dram": system}
        groups: dict[str, Settings] = {}
        for field, value in settings.items():
            groups.setdefault(field.partition(".")[0], {})[field] = value
        try:
            branches = {top: _Leaf(self._part(top, group)) for top, group in groups.items()}
            return self._plugin(_replaced(self.base.hardware, branches))
        except ValidationError as error:
            problem = error.errors()[0]
            raise ConfigError(f"{self._where}: {problem['msg']} with {json.dumps(settings)}") from error

    def _part(self, top: str, settings: Settings) -> Any:
        """Return one entry of the hardware file with these fields; few of them make many designs."""
        key = (top, repr(settings))
        if key not in self._parts:
            branches: dict[str, Any] = {}
            for field, value in settings.items():
                node = branches
                *parents, leaf = field.split(".")
                for part in parents:
                    node = node.setdefault(part, {})
                node[leaf] = _Leaf(self.checked_value(field, value))
            if len(self._parts) >= _MOST_PARTS:
                self._parts.clear()
            branch = branches[top]
            self._parts[key] = (
                branch.value
                if isinstance(branch, _Leaf)
                else _replaced(getattr(self.base.hardware, top), branch)
            )
        return self._parts[key]


class _Leaf:
    """Marks a finished value among nested branches."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _replaced(node: Any, branches: dict[str, Any]) -> Any:
    """Return ``node`` with the leaves of ``branches`` put in; its own validators run, unchanged parts stay."""
    fields = dict(node if isinstance(node, dict) else vars(node))
    for name, branch in branches.items():
        fields[name] = branch.value if isinstance(branch, _Leaf) else _replaced(fields[name], branch)
    return type(node).model_validate(fields) if isinstance(node, BaseModel) else fields
