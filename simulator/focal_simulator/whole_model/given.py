"""Work without a trace: a list of GEMMs, or a configuration file with numbers of tokens, as operators."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, near_matches
from focal_common.reading.csv_files import parse_lines
from focal_common.reading.doors import read_text
from focal_common.reading.values import whole_number
from focal_common.reading.yaml_files import read_yaml
from focal_simulator.whole_model.decoder import (
    LayerTokens,
    decode_operators,
    head_operators,
    prefill_operators,
)
from focal_simulator.whole_model.listing import operators
from focal_simulator.whole_model.operator import Operator
from focal_simulator.whole_model.vectors import gemm
from focal_traces.model_shape.families import FAMILIES, model_shape, plain_decoder
from focal_traces.model_shape.model_shape import PromptLengths

COLUMNS = ("Layer", "M", "N", "K")
"""Of SCALE-Sim's GEMM topology: (M x K) times (K x N)."""

_MOST = 1 << 24
"""Largest M, N and K."""

_MOST_MACS = 1 << 56
"""Of a whole list, so that its cycles and bytes stay far below 2^63."""

_MOST_NAME = 64


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What a list of GEMMs or a configuration does not tell.

    Attributes:
        batch: Prompts of equal lengths side by side; of a list, M of every GEMM is multiplied by it.
        tokens: Text tokens of a prompt; of a configuration only, as the rest.
        pictures: Frames of a video; 0 for a prompt without pictures.
        visual_tokens: Visual tokens of a prompt; None to take them from the model's own layout of a video.
        patch_rows: Patches down a picture; None for those the tower was trained on.
        patch_columns: Patches across it.
        generated_tokens: Decode steps after the token that the prefill yields.
    """

    batch: int = 1
    tokens: int = 0
    pictures: int = 0
    visual_tokens: int | None = None
    patch_rows: int | None = None
    patch_columns: int | None = None
    generated_tokens: int = 0

    def __post_init__(self) -> None:
        least = {"batch": 1, "tokens": 0, "pictures": 0, "visual_tokens": 0, "generated_tokens": 0}
        least |= {"patch_rows": 1, "patch_columns": 1}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not lowest <= value <= _MOST:
                raise ConfigError(f"{name} is {value}, expected {lowest} to {_MOST}")


def is_listed(path: Path) -> bool:
    """Return whether a file is a list of GEMMs or a configuration, by its ending."""
    return path.suffix.lower() in (".csv", ".json")


def read_operators(path: Path, prompt: Prompt) -> tuple[Operator, ...]:
    """Return the operators of a CSV file of GEMMs, or of a ``config.json``.

    Raises:
        ConfigError: No such file, or what it says cannot be; the sentence names file, field and bound.
    """
    if path.suffix.lower() == ".json":
        return _configured(path, prompt)
    return gemm_operators(_rows(path), str(path), prompt)


def gemm_operators(
    rows: Iterable[Sequence[Any]], where: str, prompt: Prompt | None = None
) -> tuple[Operator, ...]:
    """Return the operators of GEMMs.

    Args:
        rows: (M, N, K), or (name, M, N, K).
        where: For messages.
        prompt: For the batch.

    Raises:
        ConfigError: A size is no whole number of 1 to 2^24, a name is missing, or there are no GEMMs.
    """
    batch = prompt or Prompt()
    if batch != Prompt(batch=batch.batch):
        raise ConfigError(
            f"{where}: a list of GEMMs takes no tokens, pictures, patches or steps; expected batch only"
        )
    found = []
    for index, row in enumerate(rows):
        place = f"{where}, GEMM {index + 1}"
        if isinstance(row, str) or len(row) not in (3, 4):
            raise ConfigError(f"{place}: {row!r:.80}, expected (M, N, K) or (name, M, N, K)")
        name, *sizes = row if len(row) == 4 else (f"gemm{index}", *row)
        if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
            raise ConfigError(f"{place}: name {name!r:.80}, expected 1 to {_MOST_NAME} printable characters")
        m, n, k = (_size(value, place, column) for value, column in zip(sizes, COLUMNS[1:], strict=True))
        found.append(gemm("prefill", index, name, _bounded(m * batch.batch, f"{place}: M x batch"), n, k))
    if not found:
        raise ConfigError(f"{where}: holds no GEMM; expected at least one")
    return _checked(found, where)


def _size(value: Any, place: str, column: str) -> int:
    try:
        size = whole_number(value.strip()) if isinstance(value, str) else operator.index(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{place}: {column} is {value!r:.80}, expected a whole number of 1 to {_MOST}"
        ) from error
    if isinstance(value, bool) or size < 1:
        raise ConfigError(f"{place}: {column} is {value}, expected a whole number of 1 to {_MOST}")
    return _bounded(size, f"{place}: {column}")


def _bounded(size: int, what: str) -> int:
    if size > _MOST:
        raise ConfigError(f"{what} is {size}, expected at most {_MOST}")
    return size


def _checked(found: Sequence[Operator], where: str) -> tuple[Operator, ...]:
    macs = sum(one.macs for one in found)
    if macs > _MOST_MACS:
        raise ConfigError(f"{where}: {macs} multiply-accumulates in all, expected at most {_MOST_MACS}")
    return tuple(found)


def _rows(path: Path) -> Iterator[list[str]]:
    """Yield the cells of a CSV file in the order of `COLUMNS`; empty cells at the end of a line are dropped."""
    read = parse_lines(read_text(path), str(path), ConfigError)
    lines = [(number, _cells(line)) for number, line in enumerate(read, 1)]
    lines = [(number, cells) for number, cells in lines if cells]
    wanted = [name.lower() for name in COLUMNS]
    heads = [cell.lower() for cell in lines[0][1]] if lines else []
    if heads[:1] == ["layer name"]:
        heads[0] = "layer"
    if sorted(heads) != sorted(wanted):
        odd = next((cell for cell in heads if cell not in wanted), "")
        has = (
            f"column '{odd}'; {near_matches(odd, wanted)}"
            if odd
            else f"columns {', '.join(heads) or '(none)'}"
        )
        raise ConfigError(f"{path}: expected the columns {', '.join(COLUMNS)} in its first line, got {has}")
    for number, cells in lines[1:]:
        if len(cells) != len(COLUMNS):
            raise ConfigError(
                f"{path}, line {number}: {len(cells)} cells, expected {len(COLUMNS)}: {', '.join(COLUMNS)}"
            )
        yield [cells[heads.index(name)] for name in wanted]


def _cells(line: Sequence[str]) -> list[str]:
    cells = [cell.strip() for cell in line]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _configured(path: Path, prompt: Prompt) -> tuple[Operator, ...]:
    """Return the operators of a model: tower and projector where there are pictures, prefill, LM head, decode."""
    config = read_yaml(path)
    if not prompt.tokens and not prompt.pictures and not prompt.visual_tokens:
        raise ConfigError(
            f"{path}: a configuration does not say how long the prompt is; expected tokens above 0"
        )
    try:
        found = _model_operators(config, prompt)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return _checked([_named(one) for one in found], str(path))


def _model_operators(config: dict[str, Any], prompt: Prompt) -> tuple[Operator, ...]:
    batch, steps = prompt.batch, prompt.generated_tokens
    if config.get("model_type") in FAMILIES or "mm_vision_tower" in config:
        if not prompt.pictures:
            raise ConfigError("the configuration is of a model with pictures; expected pictures above 0")
        lengths = PromptLengths(
            frames=prompt.pictures,
            visual_tokens=prompt.visual_tokens,
            text_tokens_after=prompt.tokens,
            patch_rows=prompt.patch_rows,
            patch_columns=prompt.patch_columns,
        )
        return operators(model_shape(config, lengths), generated_tokens=steps, batch=batch)
    decoder, vocabulary = plain_decoder(config)
    if prompt.pictures or prompt.visual_tokens or prompt.patch_rows or prompt.patch_columns:
        raise ConfigError(
            "the configuration has no vision tower; expected no pictures, patches or visual tokens"
        )
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    if window and prompt.tokens + steps > int(window):
        raise ConfigError(
            f"field 'sliding_window' is {window}, but the prompt with its answer has {prompt.tokens + steps} tokens; "
            f"attention in windows is not simulated, expected at most {window}"
        )
    tokens = [LayerTokens(0, 0, 0, 0, 0)] * decoder.layers
    return (
        *prefill_operators(decoder, tokens, prompt.tokens, batch),
        *head_operators(decoder, vocabulary, batch),
        *decode_operators(decoder, tokens, prompt.tokens, batch, steps, vocabulary),
    )


def _named(one: Operator) -> Operator:
    """Return the operator with its phase in its name, but for the prefill, so that a layer is found by its name."""
    return one if one.phase == "prefill" else replace(one, name=f"{one.phase}.{one.name}")
