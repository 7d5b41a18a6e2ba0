"""Arithmetic units against numpy: special values in all pairs, and random bits."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.arithmetic import products, requantised, tree_sum, wrapped
from sim.build import Tools, build, simulate
from sim.core import Tally

UNITS = (
    "fp16_multiply",
    "fp32_add",
    "fp32_multiply",
    "fp32_to_fp16",
    "mean_lane FP16",
    "mean_lane INT8",
    "multiply_add INT8",
    "requantiser INT8",
    "dot_unit FP16",
    "dot_unit INT8",
)
_HALVES = [0, 1, 2, 0x3FF, 0x400, 0x401, 0x3BFF, 0x3C00, 0x3C01, 0x7BFF, 0x7C00, 0x7C01, 0x7E00]
_SINGLES = np.frombuffer(
    bytes.fromhex(
        "00000000 00000001 007FFFFF 00800000 00800001 33800000 33800001 33000000 387FC000 387FE000 3F7FFFFF "
        "3F800000 3F800001 3F801000 3F803000 477FEFFF 477FF000 7F7FFFFF 7F800000 7F800001 7FC00000"
    ),
    dtype=">u4",
).tolist()


def _signed(words: list[int], top: int) -> NDArray[np.uint32]:
    return np.array(words + [word | top for word in words], dtype=np.uint32)


def _pairs(
    special: NDArray[np.uint32], random: NDArray[np.uint32]
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return all pairs of special words, and random words, of which some come from their neighbours by few bits."""
    first, second = (one.ravel() for one in np.meshgrid(special, special))
    half = len(random) // 2
    return np.concatenate([first, random[:half]]), np.concatenate([second, random[half:]])


def _operands(
    number: int, random: np.random.Generator, count: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    bits = random.integers(0, 2**32, 2 * count, dtype=np.uint32)
    if number == 0:
        return _pairs(_signed(_HALVES, 0x8000), bits & np.uint32(0xFFFF))
    if number in (1, 2):
        first, second = _pairs(_signed(_SINGLES, 0x80000000), bits)
        # Exponents that lie near one another, so that sums cancel and round.
        near = np.arange(len(first)) % 2 == 0
        second = np.where(
            near & (np.arange(len(first)) > 2000),
            (first & np.uint32(0x7F800000)) ^ (second & np.uint32(0x83FFFFFF)),
            second,
        )
        return first, second.astype(np.uint32)
    if number == 3:
        narrow = (bits & np.uint32(0x8FFFFFFF)) | np.uint32(0x30000000)  # near the range of FP16
        both = np.concatenate([_signed(_SINGLES, 0x80000000), bits[:count], narrow[:count]])
        return both, np.zeros_like(both)
    if number == 4:
        sums = (random.standard_normal(count) * 2.0 ** random.integers(-20, 12, count)).astype(np.float16)
        members = random.integers(1, 1025, count)
        # Around the middle of two FP16 numbers, where the FP32 quotient decides.
        middle = sums.astype(np.float32) * np.float32(1 + 2.0**-11) * members.astype(np.float32)
        nearby = np.nextafter(middle, random.choice([-np.inf, np.inf, 0], count).astype(np.float32))
        plain = sums.astype(np.float32) * members.astype(np.float32) * np.float32(0.75)
        spread = np.where(random.random(count) < 0.6, nearby, plain)
        return spread.view(np.uint32), members.astype(np.uint32)
    if number == 5:
        members = random.integers(1, 1025, count)
        return (random.integers(-127, 128, count) * members // random.integers(1, 3, count)).astype(
            np.int32
        ).view(np.uint32), members.astype(np.uint32)
    if number == 6:
        return bits[:count], bits[count:] & np.uint32(0xFFFF)
    if number == 7:
        return bits[:count] >> np.uint32(8), random.integers(0, 24, count).astype(np.uint32)
    if number == 8:
        # Of very different sizes, so that the order of additions shows.
        x, y = (
            (random.standard_normal((count, 8)) * 2.0 ** random.integers(-6, 6, (count, 8))).astype(
                np.float16
            )
            for _ in range(2)
        )
        return x.view(np.uint32), y.view(np.uint32)
    return bits.reshape(count, 2), random.integers(0, 2**32, (count, 2), dtype=np.uint32)


def _wanted(number: int, a: NDArray[np.uint32], b: NDArray[np.uint32]) -> NDArray[np.uint32]:
    if number in (8, 9):
        x, y = (one.view(np.float16 if number == 8 else np.int8) for one in (a, b))
        sums = tree_sum(products(x, y, is_float=number == 8))
        return sums.astype(np.float32 if number == 8 else np.int32).view(np.uint32)
    half_a, half_b = ((one & np.uint32(0xFFFF)).astype(np.uint16).view(np.float16) for one in (a, b))
    single_a, single_b = a.view(np.float32), b.view(np.float32)
    integer_a = a.view(np.int32)
    with np.errstate(all="ignore"):
        if number == 0:
            return (half_a.astype(np.float32) * half_b.astype(np.float32)).view(np.uint32)
        if number == 1:
            return (single_a + single_b).view(np.uint32)
        if number == 2:
            return (single_a * single_b).view(np.uint32)
        if number == 3:
            return single_a.astype(np.float16).view(np.uint16).astype(np.uint32)
        if number == 4:
            return (single_a / b.astype(np.float32)).astype(np.float16).view(np.uint16).astype(np.uint32)
    if number == 5:
        counts = b.astype(np.int64)
        return (
            ((2 * integer_a.astype(np.int64) + counts) // (2 * counts))
            .astype(np.int8)
            .view(np.uint8)
            .astype(np.uint32)
        )
    if number == 6:
        x, y = ((b >> np.uint32(8)).astype(np.uint8).view(np.int8), b.astype(np.uint8).view(np.int8))
        return wrapped(integer_a.astype(np.int64) + x.astype(np.int64) * y.astype(np.int64)).view(np.uint32)
    lowered = np.array(
        [int(requantised(np.int32(x), int(s), is_float=False)) for x, s in zip(integer_a, b, strict=True)]
    )
    return lowered.astype(np.int8).view(np.uint8).astype(np.uint32)


def _words(operands: NDArray[np.uint32]) -> list[str]:
    """Return operands of 32 bits, or of several words of which the first is the lowest, as 128 bits of hex."""
    columns = operands.reshape(len(operands), -1)
    padded = np.zeros((len(operands), 4), dtype=">u4")
    padded[:, 4 - columns.shape[1] :] = columns[:, ::-1]
    text = padded.tobytes().hex()
    return [text[at : at + 32] for at in range(0, len(text), 32)]


def _is_nan(words: NDArray[np.uint32], number: int) -> NDArray[np.bool_]:
    if number in (0, 1, 2, 8):
        return np.isnan(words.view(np.float32))
    if number in (3, 4):
        return np.isnan(words.astype(np.uint16).view(np.float16))
    return np.zeros(len(words), dtype=bool)


def check_units(tools: Tools, seed: int, count: int, source: Path | None = None) -> Tally:
    """Compare every arithmetic unit with numpy on all pairs of special values and ``count`` random ones."""
    random = np.random.default_rng(seed)
    given = [_operands(number, random, count) for number in range(len(UNITS))]
    program = build(tools, "bench_units", {}, *([source] if source else []))
    with tempfile.TemporaryDirectory(prefix="focal-rtl-") as name:
        folder = Path(name)
        with (folder / "operands.hex").open("w") as file:
            for number, (first, second) in enumerate(given):
                sides = zip(_words(first), _words(second), strict=True)
                file.writelines(f"{number:08x}{a}{b}\n" for a, b in sides)
        simulate(program, folder, sum(len(first) for first, _ in given))
        results = np.frombuffer(bytes.fromhex((folder / "results.hex").read_text()), dtype=">u4").astype(
            np.uint32
        )
    tally, done = Tally(cases=len(UNITS)), 0
    for number, (first, second) in enumerate(given):
        seen, goal = results[done : done + len(first)], _wanted(number, first, second)
        done += len(first)
        tally.outputs += len(first)
        wrong = np.nonzero((seen != goal) & ~(_is_nan(seen, number) & _is_nan(goal, number)))[0]
        if len(wrong):
            one = wrong[0]
            tally.differences.append(
                f"{UNITS[number]}: {len(wrong)} of {len(first)} results differ from numpy; the first: "
                f"{_words(first)[one].lstrip('0')}, {_words(second)[one].lstrip('0')} "
                f"gave {seen[one]:08x}, expected {goal[one]:08x}"
            )
    return tally
