"""A device that is none: tensors compute on the CPU, say that they are elsewhere, and refuse to meet others.

It finds what a machine without a GPU would not: a tensor made or left on the CPU in a computation on another device.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["ELSEWHERE", "PretendedDevice"]

ELSEWHERE = torch.device("cuda")


class _Elsewhere(Tensor):
    """A tensor that says it is elsewhere."""


class _ElsewhereParameter(_Elsewhere, torch.nn.Parameter):
    """Likewise, and learned."""


class PretendedDevice(TorchFunctionMode):
    """Inside the block, `ELSEWHERE` is a device of its own."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        is_elsewhere = any(isinstance(one, _Elsewhere) for one in given)
        if function == Tensor.device.__get__:  # type: ignore[attr-defined]
            return ELSEWHERE if is_elsewhere else function(*args)
        wants = next((one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.device)), None)
        if wants is not None:
            is_elsewhere = wants == ELSEWHERE
            args, kwargs = tree_map(lambda one: torch.device("cpu") if one is wants else one, (args, kwargs))
        elif is_elsewhere:
            # As on a GPU, numbers without axes may come from the CPU.
            strangers = [one for one in given if one.dim() and not isinstance(one, _Elsewhere)]
            assert not strangers, f"{function.__name__} meets a tensor of the CPU: {strangers[0].shape}"
        with torch._C.DisableTorchFunctionSubclass():
            found = function(*args, **kwargs)
        return tree_map(lambda one: self._placed(one, is_elsewhere), found)

    def move(self, module: torch.nn.Module) -> torch.nn.Module:
        """Move a module here, as ``module.to(ELSEWHERE)`` would."""
        for one in module.modules():
            for name, value in one._parameters.items():
                if value is not None:
                    one._parameters[name] = value.data.as_subclass(_ElsewhereParameter).requires_grad_()
            for name, value in one._buffers.items():
                if value is not None:
                    one._buffers[name] = value.as_subclass(_Elsewhere)
        return module

    @staticmethod
    def _placed(value: Any, is_elsewhere: bool) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, _Elsewhere) == is_elsewhere:
            return value
        with torch._C.DisableTorchFunctionSubclass():
            return value.as_subclass(_Elsewhere if is_elsewhere else Tensor)
