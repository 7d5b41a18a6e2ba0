"""The semantic concentrator against numpy and, where torch is installed, `focal_algorithm`'s kernels."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.build import Tools, build, simulate
from sim.cases import CaseError
from sim.core import Tally


@dataclass(frozen=True, eq=False)
class SemanticCase:
    """Attention of text tokens to visual tokens, axes (rows of all heads, tokens), FP16, and how many are kept."""

    attention: NDArray[np.float16]
    kept: int
    name: str

    def __post_init__(self) -> None:
        rows, tokens = self.attention.shape
        if not rows or not 1 <= self.kept <= tokens:
            raise CaseError(
                f"{self.name}: {self.kept} of {tokens} tokens cannot be kept; expected 1 to {tokens}, of a row at least"
            )
        if not np.isfinite(self.attention).all() or np.signbit(self.attention).any():
            raise CaseError(
                f"{self.name}: attention must be finite and not negative; the unit orders it like integers"
            )


def random_semantic_case(random: np.random.Generator, name: str, most: int) -> SemanticCase:
    """Return probabilities with ties and zeros among them."""
    tokens, rows = int(random.integers(1, most)), int(random.integers(1, 9))
    values = random.random((rows, tokens)) ** random.integers(1, 6)
    if random.random() < 0.4:
        values = np.round(values * 8) / 8
    values[random.random(values.shape) < 0.1] = 0
    return SemanticCase(values.astype(np.float16), int(random.integers(1, tokens + 1)), name)


def kept_by_numpy(case: SemanticCase) -> NDArray[np.int64]:
    """Return the tokens kept, increasing: the largest maxima, the earlier of equals."""
    order = np.argsort(-case.attention.max(0).astype(np.float32), kind="stable")
    return np.sort(order[: case.kept])


def kept_by_kernels(case: SemanticCase) -> NDArray[np.int64]:
    """Return what the kernels of Focus keep."""
    import torch

    from focal_algorithm.kernels.importance import importance_of_probabilities
    from focal_algorithm.kernels.ordering import select_top

    values = torch.from_numpy(case.attention)[None]
    importance = importance_of_probabilities(values, first_visual=0, visual_count=values.shape[2])
    found: NDArray[np.int64] = select_top(importance, case.kept).numpy()
    return found


def cycles_of(case: SemanticCase, lanes: int) -> list[int]:
    """Return the cycles of the stream, of the sort, and of the sort with its offsets.

    The sort is what the engine charges (`focal_simulator.jobs.tokens.sort_cycles`): a pass of all tokens, and ``lanes``
    cycles until the chain has settled.
    """
    rows, tokens = case.attention.shape
    sort = -(-case.kept // lanes) * (tokens + lanes)
    return [rows * -(-tokens // lanes), sort, sort + 1 + tokens]


def check_semantic(
    tools: Tools,
    cases: list[SemanticCase],
    lanes: int,
    tokens: int,
    *,
    with_kernels: bool,
    source: Path | None = None,
) -> Tally:
    """Compare tokens kept and cycles of all cases."""
    program = build(
        tools, "bench_semantic", {"LANES": lanes, "TOKENS": tokens}, *([source] if source else [])
    )
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="focal-rtl-") as name:
        folder = Path(name)
        numbers: list[int] = []
        lines: list[str] = []
        for case in cases:
            rows, width = case.attention.shape
            numbers += [width, case.kept, rows, len(lines)]
            padded = np.zeros((rows, -(-width // lanes) * lanes), dtype=np.float16)
            padded[:, :width] = case.attention
            words = padded.reshape(-1, lanes)[:, ::-1]
            lines += [row.astype(">f2").tobytes().hex() for row in words]
        (folder / "cases.hex").write_text("\n".join(f"{value:x}" for value in numbers) + "\n")
        (folder / "attention.hex").write_text("\n".join(lines) + "\n")
        simulate(program, folder, len(cases))
        events = np.array((folder / "events.txt").read_text().split(), dtype=np.int64).reshape(-1, 3)
        offsets = np.array((folder / "offsets.txt").read_text().split(), dtype=np.int64).reshape(-1, 2)
    for number, case in enumerate(cases):
        seen = np.cumsum(offsets[offsets[:, 0] == number, 1])
        goal = kept_by_numpy(case)
        times = events[events[:, 0] == number, 2].tolist()
        tally.add(Tally(cases=1, events=3, outputs=len(goal), cycles=sum(times)))
        if not np.array_equal(seen, goal):
            tally.differences.append(f"{case.name}: the RTL keeps other tokens than numpy")
        if with_kernels and not np.array_equal(goal, kept_by_kernels(case)):
            tally.differences.append(f"{case.name}: numpy keeps other tokens than the kernels of Focus")
        if times != cycles_of(case, lanes):
            tally.differences.append(
                f"{case.name}: cycles {times} in the RTL, {cycles_of(case, lanes)} expected"
            )
    return tally
