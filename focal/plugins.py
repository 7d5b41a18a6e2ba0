"""What there is to choose from, and what goes together: methods, model families, accelerators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS
from focal_algorithm.models.weights import SHIPPED
from focal_simulator.accelerators import ACCELERATORS

if TYPE_CHECKING:
    from focal_algorithm.methods.base import CompressionMethod

__all__ = ["Support", "accelerators", "method", "methods", "models", "supports"]


def methods() -> tuple[str, ...]:
    """Return the names of all compression methods, those of installed plug-ins included; loads none."""
    return tuple(METHODS)


def models() -> tuple[str, ...]:
    """Return what `load_model` knows by name: the trained models that ship with Focal, then model families."""
    return (*SHIPPED, *MODELS)


def accelerators() -> tuple[str, ...]:
    """Return the names of all accelerators, those of installed plug-ins included; loads none."""
    return tuple(ACCELERATORS)


def method(name: str, **parameters: Any) -> CompressionMethod:
    """Return a compression method.

    Args:
        name: One of `methods`.
        **parameters: Its hyper-parameters by field; the rest keep their defaults. ``tokens=64`` or
            ``share=0.222`` states the budget, in whatever fields the method has it: its published setting for so
            many visual tokens of a prompt, or such a share of them.

    Raises:
        ConfigError: No such method or parameter (with near matches), a value out of range, or a budget beside a
            parameter that it sets.
    """
    from focal_algorithm.methods.build import build_method

    return build_method(name, parameters)


@dataclass(frozen=True)
class Support:
    """Whether a method works on a model: true or false, and in text the reason.

    Attributes:
        refusal: Why it does not work; empty if it does.
        limits: What does not work although the pair does, such as one kind of input; empty for nothing.
    """

    refusal: str = ""
    limits: str = ""

    def __bool__(self) -> bool:
        return not self.refusal

    def __str__(self) -> str:
        return self.refusal or (f"yes, but {self.limits}" if self.limits else "yes")


def supports(model: Any, method: str | CompressionMethod) -> Support:
    """Return whether a method works on a model, found by running a tiny model of the same family.

    Args:
        model: A loaded model, or a name that `load_model` takes.
        method: A name, or a method of one's own.

    Returns:
        A value that is true where the pair works, and whose text is the reason where it does not.

    Raises:
        ConfigError: No such model or method.
        UnsupportedError: The model is of no known family.
    """
    from focal.loading import family_of
    from focal.support import method_support
    from focal_algorithm.checkpoints.loading import find_adapter, model_settings
    from focal_algorithm.methods.build import as_method

    built = as_method(method)
    if isinstance(model, str) and model in MODELS:
        adapter, text = MODELS.load(model), {}
    elif isinstance(model, str):
        adapter = find_adapter(model, is_offline=True, trust_remote_code=True)
        config = model_settings(model, is_offline=True)
        text = config.get("text_config", config)
    else:
        found = family_of(model)
        adapter, text = type(found), model.get_decoder().config.to_dict()
    refusal, limits = method_support(built, text, adapter)
    return Support(refusal, limits)
