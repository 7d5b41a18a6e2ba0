"""Finds, overrides and checks hardware files, and builds accelerators from them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from focal_common.config import apply_overrides, validated
from focal_common.errors import ConfigError
from focal_common.provenance import content_hash
from focal_common.reading.yaml_files import parse_yaml, read_yaml
from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.accelerators.base import Accelerator, beyond_timing
from focal_simulator.accelerators.described import (
    is_described,
    lowering,
    merged,
    read_description,
)
from focal_simulator.accelerators.precision import named_precision
from focal_simulator.costs.buffer_costs import BufferCost
from focal_simulator.dram.specs import (
    checked_memory,
    is_memory_file,
    load_dram_spec,
    memory_tree,
    read_memory,
)
from focal_simulator.hardware.specs import GIVEN, ONE_ARRAY, HardwareSpec


@lru_cache(maxsize=16)
def _preset(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"accelerator '{name}' has no preset: there is no {path.name} in {path.parent}")
    return parse_yaml(path.read_text(encoding="utf-8"), f"{name}.yaml")


def _preset_file(plugin: type[Accelerator[Any]]) -> Path:
    """Return the path of the preset: ``hardware.yaml`` beside the class that names it."""
    owner = next(base for base in plugin.__mro__ if "preset" in vars(base))
    return Path(inspect.getfile(owner)).with_name("hardware.yaml")


def hardware_tree(
    plugin: type[Accelerator[Any]], file: Path | None = None, overrides: list[str] | None = None
) -> dict[str, Any]:
    """Return the unchecked hardware mapping of a preset or a file, with overrides applied.

    Args:
        plugin: Whose preset is used if ``file`` is None.
        file: A user's hardware file.
        overrides: ``dotted.field=value``; a field with unit and source keeps its unit, and its source becomes
            the command line.
    """
    tree = copy.deepcopy(_preset(_preset_file(plugin), plugin.preset)) if file is None else read_yaml(file)
    if file is not None and "base" in tree:
        raise ConfigError(
            f"{file}: field 'base' makes an accelerator of its own; give the file among the accelerators of the run, "
            "not as the hardware of one of them"
        )
    tree.setdefault("arrays", ONE_ARRAY.model_dump())
    where = f"{plugin.preset}.yaml" if file is None else str(file)
    return overridden(with_memory(tree, where, file.parent if file else Path()), overrides or [], where)


def with_memory(tree: dict[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """Return a hardware mapping that holds the memory it names a file for, or describes on top of a preset.

    Args:
        tree: Unchecked.
        where: Name of its file in messages.
        folder: Its paths start from here.

    Raises:
        ConfigError: See `read_memory` and `memory_tree`.
    """
    system, given = tree.get("dram_system"), tree.get("dram")
    if is_memory_file(system) and given is not None:
        raise ConfigError(
            f"{where}: field 'dram_system' is '{system}' and 'dram' is given, expected one of them"
        )
    name = system if is_memory_file(system) else given
    if is_memory_file(name):
        memory = read_memory(folder / str(name))
    elif isinstance(given, dict):
        memory = checked_memory(memory_tree(given, where), where, "dram")
    elif given is None:
        return tree
    else:
        raise ConfigError(
            f"{where}: field 'dram' is {given!r:.40}, expected a memory or the path of its file"
        )
    system = GIVEN if is_memory_file(system) else system
    return {**tree, "dram_system": system, "dram": memory.model_dump(mode="json")}


def overridden(tree: dict[str, Any], overrides: list[str], where: str) -> dict[str, Any]:
    """Return a hardware mapping with ``dotted.field=value`` overrides applied; see `hardware_tree`.

    Raises:
        ConfigError: A field that does not exist, with the nearest valid name.
    """
    for override in overrides:
        field, equals, value = override.partition("=")
        path = field.strip()
        if path == "dram_system":
            # Another memory takes the place of the one that the mapping holds.
            tree = {name: part for name, part in tree.items() if name != "dram"}
        if path == "precision":
            tree = {**tree, "precision": named_precision(value.strip(), where)}
        # A path that does not exist is left to apply_overrides, which names the nearest field.
        elif equals and _is_quantity(tree, path):
            tree = apply_overrides(tree, [f"{path}.value={value}"], where)
            node = _node(tree, path)
            node["source"] = f"--set {path}={value.strip()} (was: {node.get('source', 'unsourced')})"
        else:
            tree = apply_overrides(tree, [override], where)
    return with_memory(tree, where, Path())


def field_names(tree: dict[str, Any]) -> frozenset[str]:
    """Return the dotted names of all fields and sections of a hardware mapping."""
    names: set[str] = set()
    for name, value in tree.items():
        names.add(str(name))
        if isinstance(value, dict):
            names |= {f"{name}.{one}" for one in field_names(value)}
    return frozenset(names)


def build_accelerator(
    name: str, file: Path | None = None, overrides: list[str] | None = None
) -> Accelerator[Any]:
    """Return the accelerator ``name`` with its preset, or with a user's file, and overrides.

    Args:
        name: Registry name, or the path of a hardware file that describes an accelerator of its own.
        file: A user's hardware file in place of the preset of a registry name.
        overrides: See `hardware_tree`.

    Raises:
        ConfigError: Unknown name, unknown field, a number without source or unit, a size of 0, or a file that
            is for another accelerator.
    """
    if file is None and not overrides and not is_described(name):
        plugin: type[Accelerator[Any]] = ACCELERATORS.load(name)
        return plugin(preset_hardware(plugin))
    tree, where = base_tree(name, file)
    return accelerator_from_tree(name, overridden(tree, overrides or [], where), where)


def base_tree(name: str, file: Path | None = None) -> tuple[dict[str, Any], str]:
    """Return the unchecked hardware mapping of an accelerator, and what messages call its file.

    Args:
        name: See `build_accelerator`.
        file: See `build_accelerator`.

    Raises:
        ConfigError: See `read_description` and `merged`; or there is no such accelerator.
    """
    if is_described(name):
        return _described_tree(Path(name)), name
    plugin: type[Accelerator[Any]] = ACCELERATORS.load(name)
    return hardware_tree(plugin, file), f"{plugin.preset}.yaml" if file is None else str(file)


def _described_tree(path: Path) -> dict[str, Any]:
    """Return the hardware mapping of a file that describes an accelerator of its own, on top of that of its base."""
    given, plugin = read_description(path)
    start = {**hardware_tree(plugin), "label": given["accelerator"]}
    if isinstance(given.get("precision", {}), str):
        given["precision"] = named_precision(given["precision"], f"{path}: field 'precision'")
    if "dram" in given:
        start["dram_system"] = GIVEN
    return with_memory(merged(start, given, path), str(path), path.parent)


def accelerator_from_tree(name: str, tree: dict[str, Any], where: str) -> Accelerator[Any]:
    """Return the accelerator ``name`` with a hardware mapping; ``where`` names its file in messages.

    A mapping with a ``base`` says itself what it is for.

    Raises:
        ConfigError: See `build_accelerator`.
    """
    plugin: type[Accelerator[Any]]
    if "base" in tree:
        plugin = lowering(tree["base"], where)
    else:
        plugin = ACCELERATORS.load(name)
        if (found := tree.get("accelerator")) != plugin.preset:
            raise ConfigError(f"{where}: field 'accelerator' is {found!r}, expected '{plugin.preset}'")
    hardware = validated(plugin.hardware_model, tree, where)
    if hardware.base is not None and hardware.dram is None:
        try:
            load_dram_spec(hardware.dram_system)
        except ConfigError as error:
            raise ConfigError(f"{where}: field 'dram_system': {error}") from error
    return plugin(hardware)


@lru_cache(maxsize=16)
def preset_hardware(plugin: type[Accelerator[Any]]) -> HardwareSpec:
    """Return the checked preset of a plug-in, read once per process."""
    tree = _preset(_preset_file(plugin), plugin.preset)
    return validated(plugin.hardware_model, tree, f"{plugin.preset}.yaml")


BEYOND_TIMING = ", beyond timing"
"""Stands behind the label of hardware whose clock is too fast for its parts."""


def hardware_label(accelerator: Accelerator[Any], costs: Iterable[BufferCost] = ()) -> str:
    """Return ``preset`` for an unchanged hardware file, else the start of its content hash, and what time it lacks.

    Args:
        accelerator: What ran.
        costs: Its buffers.
    """
    if accelerator.hardware.base is None and accelerator.hardware == preset_hardware(type(accelerator)):
        return "preset"
    late = BEYOND_TIMING if beyond_timing(accelerator.hardware, costs) else ""
    return content_hash(accelerator.hardware.record())[:12] + late


def _node(tree: dict[str, Any], path: str) -> Any:
    node: Any = tree
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _is_quantity(tree: dict[str, Any], path: str) -> bool:
    node = _node(tree, path)
    return isinstance(node, dict) and "value" in node
