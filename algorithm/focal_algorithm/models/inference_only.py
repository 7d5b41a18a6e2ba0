"""Refuses what compressed models are not made for: training mode, and gradients that would be wrong."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.autograd import forward_ad

from focal_common.errors import UnsupportedError

__all__ = ["refuse_gradients", "refuse_training"]


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
