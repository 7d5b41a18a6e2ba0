"""Where the parts of a model compute, and moving what belongs to a prefill from one device to the next.

A model larger than a device is spread by accelerate, layer by layer; weights that are kept on the host or on disk have
a device all the same, to which they are copied for their layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn

from focal_algorithm.models.base import LayerPoints
from focal_common.errors import UnsupportedError

__all__ = ["device_of", "devices_of_layers", "input_device", "is_spread", "moved"]


def is_spread(model: nn.Module) -> bool:
    """Return whether accelerate places the parts of a model; such a model must not be moved."""
    return any(hasattr(module, "_hf_hook") for module in model.modules())


def input_device(model: Any) -> torch.device:
    """Return the device that a model's token ids are embedded on."""
    found = devices_in(model.get_input_embeddings())
    return next(iter(found), torch.device(model.device))


def device_of(module: nn.Module, default: torch.device) -> torch.device:
    """Return the device that the first part of a module computes on; ``default`` where it has no weights."""
    return next(iter(devices_in(module)), default)


def devices_of_layers(layers: Sequence[LayerPoints]) -> tuple[torch.device, ...]:
    """Return the device that each decoder layer computes on.

    Raises:
        UnsupportedError: A layer lies on several.
    """
    found = []
    for number, point in enumerate(layers):
        own = devices_in(point.layer)
        if len(own) > 1:
            raise UnsupportedError(
                f"decoder layer {number} lies on {' and '.join(map(str, own))}; expected each layer whole on one "
                "device: give device_map no entries inside layers"
            )
        found.append(own[0] if own else torch.device("meta"))
    return tuple(found)


def devices_in(module: nn.Module) -> list[torch.device]:
    """Return the devices that a module computes on, each once: by accelerate's hooks, else by its weights."""
    found: list[torch.device] = []
    for part in module.modules():
        hook = getattr(part, "_hf_hook", None)
        given = [getattr(one, "execution_device", None) for one in (*getattr(hook, "hooks", ()), hook)]
        own = [torch.device(one) for one in given if one is not None]
        weights = (*part.parameters(recurse=False), *part.buffers(recurse=False))
        found += own or [one.device for one in weights if one.device.type != "meta"]
    return list(dict.fromkeys(found))


def moved(value: Any, device: torch.device) -> Any:
    """Return a value with the tensors inside it on a device: in tuples, lists, dictionaries and dataclasses.

    Dataclasses that are not frozen are changed in place, so that whoever holds the state of a method still does.
    """
    if torch.is_tensor(value):
        return value.to(device)
    if isinstance(value, dict):
        parts = {name: moved(one, device) for name, one in value.items()}
        return parts if any(parts[name] is not one for name, one in value.items()) else value
    if isinstance(value, list | tuple):
        found = [moved(one, device) for one in value]
        if all(new is old for new, old in zip(found, value, strict=True)):
            return value
        return type(value)(*found) if hasattr(value, "_fields") else type(value)(found)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    before = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    after = {name: moved(one, device) for name, one in before.items()}
    changed = {name: one for name, one in after.items() if one is not before[name]}
    if not changed:
        return value
    if type(value).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return replace(value, **changed)
    for name, one in changed.items():
        setattr(value, name, one)
    return value
