"""Is a model that is spread over devices compressed and traced as one on a single device, and never moved?

Without a GPU: a second device is pretended, or weights are kept on disk and copied for each layer; the hooks are those
of accelerate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

import attach_support as support
from focal.testing import prompts
from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from pretended_device import ELSEWHERE, FURTHER, PretendedDevice

hooks = pytest.importorskip("accelerate.hooks")


TOWERS = ("vision_tower", "vision_model", "vpm", "visual")


class Placed(hooks.AlignDevicesHook):  # type: ignore[misc, name-defined]
    """A hook on weights that are in their place already."""

    def init_hook(self, module: Any) -> Any:
        return module


def fresh(family: str = "llava_onevision") -> LoadedModel:
    return load_model(
        family, size="tiny", seed=7, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )


@contextmanager
def on_two_devices(loaded: LoadedModel, first_layer: int, tower: torch.device) -> Iterator[None]:
    """Spread a model as accelerate does: its layers from one on and what follows them lie further."""
    points, device = loaded.adapter.points(loaded.model), PretendedDevice()
    keys = loaded.model._skip_keys_device_placement
    blocks = {one.layer: (FURTHER if n >= first_layer else ELSEWHERE) for n, one in enumerate(points.layers)}
    blocks[points.final_norm] = FURTHER
    blocks |= {one: FURTHER for one in [loaded.model.get_output_embeddings()] if one is not None}
    inner = getattr(loaded.model, "model", None) or loaded.model.core
    blocks |= {one: tower for name in TOWERS if (one := getattr(inner, name, None)) is not None}
    inside = {part for block in blocks for part in block.modules()}
    rest = [
        one for one in loaded.model.modules() if one not in inside and list(one.parameters(recurse=False))
    ]
    with device:
        device.move(loaded.model)
        for block, place in (dict.fromkeys(rest, ELSEWHERE) | blocks).items():
            if block in blocks:
                device.move(block, place)
            hooks.add_hook_to_module(block, Placed(place, skip_keys=keys))
        hooks.add_hook_to_module(loaded.model, Placed(ELSEWHERE, io_same_device=True, skip_keys=keys))
        yield


@contextmanager
def on_one_device(loaded: LoadedModel) -> Iterator[None]:
    with PretendedDevice() as device:
        device.move(loaded.model)
        yield


def traced(
    loaded: LoadedModel, method: Any, inputs: dict[str, Any], **options: Any
) -> tuple[list[RecordedSample], Any]:
    """Return what was recorded of a batch of prompts, and the four tokens that follow each with their logits."""
    recorder = Recorder(loaded.geometry, method, True)
    inputs = {name: value.to(ELSEWHERE) for name, value in inputs.items()}
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, recorder):
        output = loaded.model.generate(
            **inputs,
            max_new_tokens=4,
            min_new_tokens=4,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            **options,
        )
    return recorder.samples, output


def require_equal(found: tuple[list[RecordedSample], Any], wanted: tuple[list[RecordedSample], Any]) -> None:
    for ours, plain in zip(found[0], wanted[0], strict=True):
        for column in ("layer", "gemm", "m_tile", "k_slice", "rows", "vectors", "unique"):
            assert np.array_equal(getattr(ours.counts, column), getattr(plain.counts, column)), column
        assert ours.masks == plain.masks
        assert (ours.records, ours.header) == (plain.records, plain.header)
    assert torch.equal(found[1].sequences, wanted[1].sequences)
    assert all(torch.equal(*pair) for pair in zip(found[1].logits, wanted[1].logits, strict=True))


def compare(
    family: str, method: Any, inputs: dict[str, Any], first_layer: int, tower: Any, **options: Any
) -> None:
    """Trace prompts on one device and on two, and want the same bits."""
    with on_one_device(loaded := fresh(family)):
        wanted = traced(loaded, method, inputs, **options)
    with on_two_devices(loaded := fresh(family), first_layer, tower):
        require_equal(traced(loaded, method, inputs, **options), wanted)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_trace_over_two_devices_is_that_of_one(name: str) -> None:
    compare("llava_onevision", support.suited(name), support.prompt().inputs, 2, ELSEWHERE)


@pytest.mark.parametrize(("first_layer", "name"), [(0, "fastv"), (2, "focus")])
@pytest.mark.parametrize(("family", "kind"), [case for case in prompts.CASES if case[0] != "gemma3"])
def test_a_padded_batch_of_every_family_wherever_the_tower_lies(
    family: str, kind: str, first_layer: int, name: str
) -> None:
    # Without Gemma 3, whose stock masks are made under vmap, where tensors forget that they are elsewhere.
    batch = prompts.padded(prompts.two(prompts.tiny(family), kind), "left")
    compare(family, support.suited(name), batch, first_layer, FURTHER)


@pytest.mark.parametrize("name", ["visionzip", "sparsevlm", "dycoke", "framefusion"])
def test_beams_over_two_devices_are_those_of_one(name: str) -> None:
    compare("llava_onevision", support.suited(name), support.prompt().inputs, 1, FURTHER, num_beams=2)
