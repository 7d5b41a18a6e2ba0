"""Does a prefill on an accelerator run without waiting for it, and is its trace that of a CPU?

No accelerator: `PretendedDevice` counts the calls that would wait, on a decoder of four layers and 20 GEMM inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import attach_support as support
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.kernels.tile_counts import count_tiles, packed_bits, tiles_in
from focal_algorithm.methods import METHODS
from focal_traces.counts.tiles import count_tiles as count_tiles_plainly
from pretended_device import ELSEWHERE, PretendedDevice

MOST_WAITS = 40
"""Of a method that is not in `WAITS`."""

WAITS = {
    "cmc": 170,
    "holitom": 60,
    "prumerge": 70,
    "prumerge_plus": 75,
    "sparsezip": 150,
    "visionzip": 65,
    "zip_parts": 60,
}
"""Methods that wait more often, and how often: their rules look at values to know what to do next."""


def fresh() -> LoadedModel:
    return load_model(
        "llava_onevision",
        size="tiny",
        seed=7,
        dtype="fp32",
        attention="sdpa",
        device="cpu",
        is_offline=True,
    )


def elsewhere(
    name: str, keep_masks: bool | None
) -> tuple[list[RecordedSample], torch.Tensor, PretendedDevice]:
    """Run one prefill on the pretended device; ``keep_masks`` None leaves it untraced."""
    loaded, method, prompt, device = fresh(), support.suited(name), support.prompt(), PretendedDevice()
    recorder = None if keep_masks is None else Recorder(loaded.geometry, method, keep_masks)
    with device, torch.inference_mode():
        device.move(loaded.model)
        inputs: dict[str, Any] = {key: value.to(ELSEWHERE) for key, value in prompt.inputs.items()}
        device.waits.clear()
        with attach(loaded.model, loaded.adapter, method, recorder, [prompt.layout]):
            logits = loaded.model(**inputs).logits
        waits, copied_bytes = list(device.waits), device.copied_bytes
        logits = logits.cpu()
    device.waits, device.copied_bytes = waits, copied_bytes
    return [] if recorder is None else recorder.samples, logits, device


@pytest.mark.parametrize("name", list(METHODS))
def test_a_trace_is_that_of_a_cpu_and_rarely_waits(name: str) -> None:
    plain = elsewhere(name, None)[2]
    (found,), logits, device = elsewhere(name, True)
    prompt = support.prompt()
    (wanted,), output = support.record(support.suited(name), prompt.inputs, layouts=[prompt.layout])
    for column in ("layer", "gemm", "m_tile", "k_slice", "rows", "vectors", "unique"):
        assert np.array_equal(getattr(found.counts, column), getattr(wanted.counts, column)), column
    assert found.masks == wanted.masks
    assert (found.records, found.header) == (wanted.records, wanted.header)
    assert torch.equal(logits, output.logits)
    assert len(device.waits) <= WAITS.get(name, MOST_WAITS), device.waits
    # Of which a trace: what it holds is copied once, and some methods say more of themselves.
    assert len(device.waits) - len(plain.waits) <= (50 if name in WAITS else 4)


def test_counts_without_masks_are_few_bytes_copied_once() -> None:
    plain, traced = elsewhere("focus", None)[2], elsewhere("focus", False)[2]
    added = list(traced.waits)
    for one in plain.waits:
        added.remove(one)
    assert len(added) == 1
    assert added[0].startswith("cpu")
    assert traced.copied_bytes < 4096


@pytest.mark.parametrize("m_tile", [0, 1, 3, 16, 40])
@pytest.mark.parametrize("tokens", [0, 1, 17])
def test_counts_of_many_inputs_are_those_of_each(tokens: int, m_tile: int) -> None:
    rng = np.random.default_rng(tokens + m_tile)
    is_zero = rng.random((4, tokens, 5)) < 0.5
    is_zero[1], is_zero[2, ::2] = True, True
    is_similar = (rng.random(is_zero.shape) < 0.4) & ~is_zero
    counts = count_tiles(torch.from_numpy(is_zero), torch.from_numpy(is_similar), m_tile)
    for index in range(4):
        wanted = count_tiles_plainly(is_zero[index], is_similar[index], m_tile)
        own = slice(0, tiles_in(int(counts[0][index].sum()), m_tile))
        for part, values in zip(("rows", "vectors", "unique"), counts, strict=True):
            assert np.array_equal(values[index, own].numpy(), getattr(wanted, part)), part


def test_bits_are_packed_as_numpy_packs_them() -> None:
    flags = torch.rand(7, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    assert np.array_equal(packed_bits(flags).numpy(), np.packbits(flags.numpy()))
