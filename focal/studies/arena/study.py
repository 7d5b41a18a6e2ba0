"""A study as data: the settings of an arena in a file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from focal_common.config import packaged_yaml
from focal_common.errors import ConfigError, near_matches
from focal_common.reading.yaml_files import read_yaml


def study_settings(word: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a study, as the options of ``focal arena`` take them.

    Args:
        word: Path of a YAML file, or the name of a study that ships.
        known: Options with their defaults; a field must be one of them, and a list or a value of its kind.

    Raises:
        ConfigError: No such study, an unknown field, or a value of another kind.
    """
    if Path(word).suffix in (".yaml", ".yml"):
        tree, where = read_yaml(Path(word)), word
    else:
        presets = files("focal.studies.arena") / "presets"
        tree, where = packaged_yaml(presets, word, "no study file and no study"), f"{word}.yaml"
    found = {}
    for name, value in tree.items():
        if name not in known:
            raise ConfigError(f"{where}: unknown field '{name}'; {near_matches(name, known)}")
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        if type(text) is not type(known[name]):
            raise ConfigError(
                f"{where}: {name}: expected {'a whole number' if isinstance(known[name], int) else 'words or a list'}, "
                f"got {value!r}"
            )
        found[name] = text
    return found
