"""The one check of a model folder before transformers reads it: files that are whole, sizes that a model can have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, FocalError, RunError
from focal_common.reading.doors import MIB, one_line, open_regular
from focal_common.reading.json_files import read_json
from focal_common.reading.safetensors_files import tensor_shapes
from focal_common.reading.torch_files import check_torch_file

_MOST_JSON_BYTES = 256 * MIB
_MOST = {
    "num_hidden_layers": 1024,
    "num_attention_heads": 1024,
    "num_key_value_heads": 1024,
    "depth": 1024,
    "hidden_size": 1 << 17,
    "intermediate_size": 1 << 20,
    "head_dim": 1 << 14,
    "image_size": 4096,
    "patch_size": 4096,
    "vocab_size": 1 << 24,
    "query_num": 1 << 16,
    "num_position_embeddings": 1 << 24,
}
"""Largest value of fields of ``config.json`` from which a model takes memory or time before it meets its weights."""


def check_model_folder(folder: Path) -> None:
    """Refuse a model folder with a file that is damaged or announces more than a model can have.

    Args:
        folder: With ``config.json``; anything else may be absent.

    Raises:
        ConfigError: Naming the file, and the field where there is one.
    """
    for path in sorted(folder.iterdir()):
        if path.name == "config.json":
            _check_sizes(read_json(path), str(path))
        elif path.suffix == ".json":
            # transformers writes numbers of 100 bits into those of tokenizers.
            with open_regular(path, ConfigError, _MOST_JSON_BYTES):
                pass
        elif path.suffix == ".safetensors":
            tensor_shapes(path)
        elif path.suffix in (".bin", ".pt", ".pth"):
            check_torch_file(path, ConfigError)


@contextmanager
def foreign_sentences(where: str, what: str) -> Iterator[None]:
    """Turn whatever transformers raises on files that it cannot use into one sentence.

    Args:
        where: File or folder.
        what: What was expected, such as ``whole weights that fit config.json``.

    Raises:
        RunError: Memory ran out.
        ConfigError: Anything else; a `FocalError` passes.
    """
    try:
        yield
    except FocalError:
        raise
    # Configurations reach torch, tokenizers and safetensors unchecked: TypeError, AttributeError, KeyError, errors of
    # Rust and others come back, and all of them are about the files.
    except Exception as problem:
        if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
            raise RunError(f"{where}: the checkpoint does not fit into memory") from problem
        raise ConfigError(
            f"{where}: cannot be loaded, expected {what} ({one_line(problem, 200)})"
        ) from problem


def _check_sizes(tree: Any, where: str, path: str = "") -> None:
    for name, value in tree.items():
        place = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            _check_sizes(value, where, place)
        most = _MOST.get(name)
        if most is None or value is None or isinstance(value, dict):
            continue
        sizes = value if isinstance(value, list) else [value]
        if not all(type(size) is int and 0 <= size <= most for size in sizes):
            raise ConfigError(
                f"{where}: field '{place}' is {value!r:.40}, expected a whole number of at most {most}"
            )
