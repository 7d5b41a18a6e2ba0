"""A device that is none: tensors compute on the CPU, say that they are elsewhere, and refuse to meet others.

It finds what a machine without a GPU would not: a tensor made or left on one device in a computation on another,
and calls that would make the CPU wait for the device, because their result, or its shape, depends on values there.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["ELSEWHERE", "FURTHER", "PretendedDevice"]

ELSEWHERE, FURTHER = torch.device("cuda"), torch.device("cuda", 1)

_COPIES = ("cpu", "numpy", "tolist", "item")
_WAITS = (
    *_COPIES,
    *("__array__", "__bool__", "__contains__", "__float__", "__index__", "__int__", "allclose", "argwhere"),
    *("bincount", "equal", "is_nonzero", "masked_select", "nonzero", "unique", "unique_consecutive"),
)
"""Functions that wait; so do indexing with bool, repeats given as a tensor, and copies to the CPU."""


class _Elsewhere(Tensor):
    """A tensor that says it is elsewhere."""

    place = ELSEWHERE


class _ElsewhereParameter(_Elsewhere, torch.nn.Parameter):
    """Likewise, and learned."""


class _Further(_Elsewhere):
    """A tensor of a second such device."""

    place = FURTHER


class _FurtherParameter(_Further, torch.nn.Parameter):
    """Likewise, and learned."""


_KINDS = {ELSEWHERE: (_Elsewhere, _ElsewhereParameter), FURTHER: (_Further, _FurtherParameter)}


class PretendedDevice(TorchFunctionMode):
    """Inside the block, `ELSEWHERE` and `FURTHER` are devices of their own.

    Attributes:
        waits: Name of the function, file and line of each call so far that would wait for the device.
        copied_bytes: Copied from the device so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.copied_bytes = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        places = {_place(one) for one in given if one.dim() or isinstance(one, _Elsewhere)}
        place = next((one for one in places if one is not None), None)
        if function == Tensor.device.__get__:  # type: ignore[attr-defined]
            return _place(args[0]) or function(*args)
        if function is torch.device:
            return function(*args, **kwargs)
        if place is not None:
            self._watch(function.__name__, args, kwargs)
        wants = next((one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.device)), None)
        if function in (Tensor.cpu, Tensor.numpy):
            place = None
        elif function == Tensor.to and len(given) == 2:
            place = _place(given[1])
        elif wants is not None:
            place = wants if wants in _KINDS else None
            args, kwargs = tree_map(lambda one: torch.device("cpu") if one is wants else one, (args, kwargs))
        elif place is not None:
            # As on a GPU, numbers without axes may come from the CPU, and so may indices.
            places -= {None} if function == Tensor.__getitem__ else set()
            met = [f"{tuple(one.shape)} of {_place(one)}" for one in given if one.dim() or _place(one)]
            assert len(places) == 1, f"{function.__name__} meets tensors of several devices: {met}"
        with torch._C.DisableTorchFunctionSubclass():
            found = function(*args, **kwargs)
        if isinstance(found, torch.Size):  # a tuple to `tree_map`
            return found
        return tree_map(lambda one: _placed(one, place), found)

    def _watch(self, name: str, args: Any, kwargs: Any) -> None:
        """Note a call on tensors of the device if it would wait."""
        is_copy = name in _COPIES or (name == "to" and torch.device("cpu") in tree_leaves((args[1:], kwargs)))
        waits = is_copy or name in _WAITS
        if name in ("__getitem__", "__setitem__"):
            # A single number as a value is written by a kernel; another is looked for first.
            waits = any(isinstance(one, Tensor) and one.dtype == torch.bool for one in tree_leaves(args[1]))
        if name == "where" and len(args) == 1:
            waits = True
        if name == "repeat_interleave":
            waits = isinstance(args[1], Tensor) and "output_size" not in kwargs
        if waits:
            frames = traceback.extract_stack()[:-2]
            ours = next((one for one in reversed(frames) if "focal_algorithm" in one.filename), frames[-1])
            self.waits.append(f"{name} ({Path(ours.filename).name}:{ours.lineno})")
        if is_copy:
            self.copied_bytes += args[0].numel() * args[0].element_size()

    def move(self, module: torch.nn.Module, place: torch.device = ELSEWHERE) -> torch.nn.Module:
        """Move a module here, as ``module.to(place)`` would."""
        kind, learned = _KINDS[place]
        with torch._C.DisableTorchFunctionSubclass():
            for one in module.modules():
                for name, value in one._parameters.items():
                    if value is not None:
                        one._parameters[name] = value.data.as_subclass(learned).requires_grad_()
                for name, value in one._buffers.items():
                    if value is not None:
                        one._buffers[name] = value.as_subclass(kind)
        return module


def _place(value: Tensor) -> torch.device | None:
    return getattr(type(value), "place", None)


def _placed(value: Any, place: torch.device | None) -> Any:
    if not isinstance(value, Tensor) or _place(value) == place:
        return value
    with torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(Tensor if place is None else _KINDS[place][0])
