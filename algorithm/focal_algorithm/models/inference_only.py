"""Refuses what compressed models are not made for: training mode, gradients that would be wrong, compiled code."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from torch import Tensor, nn
from torch.autograd import forward_ad

from focal_common.errors import UnsupportedError

_UNCOMPILED = (
    "which keeps for the next prompt what was decided for one; inside the 'with' block call the model that was "
    "compiled, not the compiled one"
)


def refuse_gradients(values: Tensor, writer: str) -> Tensor:
    """Return ``values``, and refuse each derivative that would have to pass through them.

    A forward with gradients enabled is not refused, because models are often called so for inference.

    Args:
        values: Computed without regard to derivatives; any axes.
        writer: What computed them, the subject of the error's sentence.

    Raises:
        UnsupportedError: A backward pass reaches ``values``, or they are differentiated in forward mode.
    """

    def refuse(_gradient: Tensor | None = None) -> None:
        raise UnsupportedError(
            f"{writer} replaces activations, and gradients cannot pass through replaced ones; run the model under "
            f"torch.no_grad(), or take gradients without {writer}"
        )

    if values.requires_grad:
        values.register_hook(refuse)
    if forward_ad.unpack_dual(values).tangent is not None:
        refuse()
    return values


def refuse_training(model: nn.Module, modules: Iterable[nn.Module]) -> None:
    """Check that none of some modules is in training mode, where dropout and gradient checkpointing may act.

    Args:
        model: The whole model.
        modules: Those of its modules to look at.

    Raises:
        UnsupportedError: One is in training mode.
    """
    if any(module.training for module in modules):
        name = next((name for name, module in model.named_modules() if module.training), "")
        found = f"its module '{name}'" if name else "it"
        raise UnsupportedError(
            f"a model with a method attached runs for inference only, but {found} is in training mode; call "
            "model.eval() before the forward"
        )


def refuse_compiled_parts(model: nn.Module) -> None:
    """Check that no module was compiled in place or replaced by a compiled one.

    Raises:
        UnsupportedError: One was.
    """
    for name, module in model.named_modules():
        # `Module.compile` leaves its result in this attribute; torch.compile wraps into this class.
        if getattr(module, "_compiled_call_impl", None) or type(module).__name__ == "OptimizedModule":
            subject = f"module '{name}'" if name else "the model"
            raise UnsupportedError(f"{subject} is compiled with torch.compile, {_UNCOMPILED}")


def refuse_compiled_forward() -> None:
    """Check that no compiled model is among the callers, which cannot be seen from the model inside it.

    Raises:
        UnsupportedError: One is.
    """
    frame = sys._getframe()
    while (caller := frame.f_back) is not None:
        frame = caller
        code = frame.f_code
        if code.co_name == "compile_wrapper" and code.co_filename.endswith("eval_frame.py"):
            raise UnsupportedError(f"this forward runs under torch.compile, {_UNCOMPILED}")
