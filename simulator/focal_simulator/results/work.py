"""Makes the workload of a list of GEMMs or of a configuration with numbers of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from focal_common.places import as_plain_name
from focal_simulator.whole_model.given import Prompt, gemm_operators, read_operators
from focal_simulator.workload.workload import Workload


def given_workload(
    source: Path | Sequence[Sequence[Any]], prompt: Prompt | None = None, name: str = ""
) -> Workload:
    """Return the workload.

    Args:
        source: A CSV file with columns Layer, M, N, K; a ``config.json``; or (M, N, K) or (name, M, N, K) of each GEMM.
        prompt: Batch, and the lengths that a configuration does not tell.
        name: In the column ``model``; that of the file if empty, or ``gemms``.

    Raises:
        ConfigError: See `read_operators` and `gemm_operators`.
    """
    if isinstance(source, Path):
        listed = read_operators(source, prompt or Prompt())
        return Workload.given(name or as_plain_name(source.stem), listed)
    return Workload.given(name or "gemms", gemm_operators(source, "the list of GEMMs", prompt))
