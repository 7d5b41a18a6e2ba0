"""What there is to choose from, and what goes together: methods, model families, accelerators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS
from focal_algorithm.models.weights import SHIPPED
from focal_common.errors import ConfigError
from focal_simulator.accelerators import ACCELERATORS

if TYPE_CHECKING:
    from focal_algorithm.methods.base import CompressionMethod

__all__ = ["Support", "accelerators", "method", "methods", "models", "supports"]

_NOMINAL_TOKENS = 576
"""Of a picture, where a method is asked for its budget without one: LLaVA-1.5, arXiv 2310.03744."""


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
        **parameters: Its hyper-parameters by field; the rest keep their defaults. ``tokens`` is the visual tokens to
            keep of a picture, for methods whose budget is a number of tokens per picture.

    Raises:
        ConfigError: No such method or parameter (with near matches), a value out of range, or ``tokens`` beside a
            parameter that it sets.
    """
    from focal_algorithm.methods.build import build_method

    if "tokens" in parameters and not hasattr(METHODS.load(name), "tokens"):
        tokens = parameters.pop("tokens")
        stated = _budget(name, tokens)
        if both := stated.keys() & parameters.keys():
            raise ConfigError(
                f"method '{name}': tokens={tokens} sets {', '.join(sorted(stated))}, and "
                f"{' and '.join(sorted(both))} was given beside it; give one or the other"
            )
        parameters |= stated
    return build_method(name, parameters)


def _budget(name: str, tokens: int) -> dict[str, Any]:
    """Return the hyper-parameters with which a method keeps so many tokens of a picture."""
    from focal_traces.header.schema import QWEN2_7B, SampleHeader, TokenGrid

    grid = TokenGrid(
        frames=1, rows=24, columns=24, frame_stride=_NOMINAL_TOKENS, row_stride=24, column_stride=1
    )
    picture = SampleHeader(
        sample_id="a picture",
        sequence_tokens=_NOMINAL_TOKENS,
        visual_start=0,
        visual_tokens=_NOMINAL_TOKENS,
        grid=grid,
    )
    built = METHODS.load(name)()
    study = built.study
    known = (study.budget(built, QWEN2_7B, picture), *study.further_budgets(built, QWEN2_7B, picture))
    for parameter in known:
        if parameter is not None and parameter.name == "tokens per picture":
            if type(tokens) is not int or tokens < parameter.least:
                least = int(parameter.least)
                raise ConfigError(
                    f"method '{name}': tokens must be a whole number from {least}, got {tokens!r}"
                )
            return parameter.parameters(tokens)
    raise ConfigError(
        f"method '{name}' is not set by a number of tokens per picture; give its own parameters, or let "
        f"focal.compare_methods(..., tokens={tokens}) solve for the budget on prompts"
    )


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
