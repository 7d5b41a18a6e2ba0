"""Memory systems by name or from a file: presets with changes, and YAML of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from focal_common.config import apply_overrides, packaged_names, packaged_yaml, validated
from focal_common.errors import ConfigError
from focal_common.reading.yaml_files import read_yaml
from focal_simulator.hardware.memory import DramSpec
from focal_simulator.hardware.specs import PlainMemory

_ENDINGS = (".yaml", ".yml")


def preset_names() -> tuple[str, ...]:
    """Return the names of the memory systems that ship with Focal, sorted."""
    return packaged_names(files("focal_simulator.dram") / "presets")


def is_memory_file(name: Any) -> bool:
    """Return whether the name of a memory system is the path of a file."""
    return isinstance(name, str) and name.endswith(_ENDINGS)


def memory_tree(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return what a file says of a memory, whole but unchecked: on top of its ``base``, with the device it names.

    Args:
        given: As read.
        where: File for messages.

    Raises:
        ConfigError: No such base or device.
    """
    tree = dict(given)
    if isinstance(base := tree.pop("base", None), str):
        start = packaged_yaml(
            files("focal_simulator.dram") / "presets", base, f"{where}: field 'base': unknown memory preset"
        )
        tree = _on_top(memory_tree(start, where), tree)
    elif base is not None:
        raise ConfigError(f"{where}: field 'base' is {base!r:.40}, expected the name of a memory preset")
    if isinstance(device := tree.get("device"), str):
        unknown = f"{where}: field 'device': unknown"
        tree["device"] = packaged_yaml(files("focal_simulator.dram") / "devices", device, unknown, where)
    return tree


def read_memory(path: Path) -> PlainMemory | DramSpec:
    """Return the memory that a file describes: by banks and timings, or by its figures.

    Raises:
        ConfigError: No such file, or one sentence with the file, the field and what it may be.
    """
    return checked_memory(memory_tree(read_yaml(path), str(path)), str(path))


def checked_memory(tree: Mapping[str, Any], where: str, within: str = "") -> PlainMemory | DramSpec:
    """Return the memory that a whole mapping describes; see `validated` for arguments and errors."""
    if "bandwidth" in tree:
        return validated(PlainMemory, tree, where, within)
    return validated(DramSpec, tree, where, within)


@cache
def _load(name: str, overrides: tuple[str, ...]) -> DramSpec:
    where = f"memory preset {name}"
    tree = packaged_yaml(files("focal_simulator.dram") / "presets", name, "unknown memory preset", where)
    return validated(DramSpec, apply_overrides(memory_tree(tree, where), list(overrides), where), where)


def load_dram_spec(name: str | Path, overrides: list[str] | None = None) -> DramSpec:
    """Return a memory system, with ``dotted.field=value`` changes applied.

    Args:
        name: One of `preset_names`, or the path of a YAML file (docs/dram_model.md).
        overrides: Such as ``["ranks=1", "device.timing.clock_ns=0.833"]``.

    Raises:
        ConfigError: Unknown preset or field (with near matches), or a value out of range.

    Example:
        >>> load_dram_spec("ddr4_1ch_shipped").request_bytes
        64
    """
    if not is_memory_file(str(name)):
        return _load(str(name), tuple(overrides or ()))
    where = str(name)
    tree = memory_tree(read_yaml(Path(name)), where)
    return validated(DramSpec, apply_overrides(tree, list(overrides or ()), where), where)


def _on_top(start: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the fields of another put in, at every depth."""
    found = dict(start)
    for name, value in given.items():
        before = found.get(name)
        is_both = isinstance(before, dict) and isinstance(value, dict)
        found[name] = _on_top(before, value) if is_both and before is not None else value
    return found
