"""The one reader of YAML: data only, no tags that build objects, aliases that stay small."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode

from focal_common.errors import ConfigError, FocalError
from focal_common.reading.doors import MIB, one_line, read_text
from focal_common.reading.values import check_tree

_MOST_BYTES = MIB  # the parser is of pure Python and takes ten seconds for as much
_MOST_MERGES, _MOST_MERGED = 1000, 10_000
_MOST_DEPTH = 64
_MOST_VALUES = 100_000
_REAL = re.compile(r"[+-]?(?:[0-9.]+(?:[eE][+-]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)", re.ASCII)
_WHOLE = re.compile(r"[+-]?(?:[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", re.ASCII)


class _Constructor(SafeConstructor):
    """Builds plain values; numbers are written strictly, keys are plain, and merges cannot multiply."""

    merges = 0
    repeated: list[str] | None = None

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        if key not in mapping or self.repeated is None:
            return bool(super().check_mapping_key(node, key_node, mapping, key, value))
        self.repeated.append(f"line {key_node.start_mark.line + 1}: '{key}'")
        return True  # and so the later value holds

    def flatten_mapping(self, node: Any) -> Any:
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                raise ConstructorError(None, None, "a list or mapping as a key", key.start_mark)
            self.merges += key.tag == "tag:yaml.org,2002:merge"
        found = super().flatten_mapping(node)
        if self.merges > _MOST_MERGES or len(node.value) > _MOST_MERGED:
            raise ConstructorError(None, None, "too much is merged with <<", node.start_mark)
        return found

    def construct_yaml_int(self, node: Any) -> int:
        if not _WHOLE.fullmatch(node.value):
            raise ConstructorError(
                None, None, f"{node.value!r:.40} is no number in plain digits", node.start_mark
            )
        return int(super().construct_yaml_int(node))

    def construct_yaml_float(self, node: Any) -> float:
        if not _REAL.fullmatch(node.value):
            raise ConstructorError(
                None, None, f"{node.value!r:.40} is no number in plain digits", node.start_mark
            )
        return float(super().construct_yaml_float(node))


_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)
_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)


def parse_yaml(
    text: str, where: str, error: type[FocalError] = ConfigError, repeated: list[str] | None = None
) -> dict[str, Any]:
    """Parse a YAML mapping safely.

    Args:
        text: The document.
        where: File name for messages.
        error: What to raise.
        repeated: Takes the line and name of each key that its mapping has already, whose later value then holds; None
            to refuse such keys.

    Raises:
        FocalError: Not YAML, a duplicate key, not a mapping at the top, a number that is not finite or not in plain
            digits, a value that JSON does not know such as a date, or too deep or too many values, aliases expanded.
    """
    parser = YAML(typ="safe", pure=True)
    parser.Constructor = _Constructor
    parser.constructor.repeated = repeated
    try:
        loaded = parser.load(text)
    except RecursionError as problem:
        raise error(f"{where}: not valid YAML (too many lists or mappings in one another)") from problem
    # The parser lets through what Python raises on odd scalars, such as OverflowError of a date.
    except Exception as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        said = problem.problem if isinstance(problem, YAMLError) and hasattr(problem, "problem") else None
        reason = one_line(ValueError(said) if said else problem)
        raise error(f"{where}{line}: not valid YAML ({reason})") from problem
    if not isinstance(loaded, dict):
        raise error(f"{where}: expected a mapping of fields at the top level, got {type(loaded).__name__}")
    try:
        check_tree(loaded, _MOST_DEPTH, _MOST_VALUES)
    except ValueError as problem:
        raise error(f"{where}: {problem}") from problem
    return loaded


def read_yaml(
    path: Path, error: type[FocalError] = ConfigError, repeated: list[str] | None = None
) -> dict[str, Any]:
    """Read a YAML mapping from a file; see `parse_yaml` and `read_text` for errors."""
    return parse_yaml(read_text(path, error, _MOST_BYTES), str(path), error, repeated)
