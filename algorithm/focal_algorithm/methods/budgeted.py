"""Budgets by one word for all methods: so many visual tokens of a prompt, or such a share of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from focal_algorithm.methods import METHODS
from focal_common.errors import ConfigError
from focal_common.reading.values import real_number, whole_number
from focal_common.reading.yaml_files import parse_yaml

_WORDS = ("tokens", "share")


def given_parameters(
    name: str, settings: Sequence[str], budget: str = "", base: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the parameters of a method that a command line gives.

    Args:
        name: Registry name of the method.
        settings: Such as ``similarity_threshold=0.95``; of two for one field the later holds.
        budget: See `read_budget`.
        base: Parameters that these go over.

    Raises:
        ConfigError: A setting is not of this form, or see `with_budget`.
    """
    return with_budget(name, {**(base or {}), **dict(map(read_parameter, settings)), **read_budget(budget)})


def read_parameter(text: str) -> tuple[str, Any]:
    """Return name and value of a parameter written ``field=value``.

    Raises:
        ConfigError: It is not.
    """
    field, equals, value = text.partition("=")
    if not equals or not field.strip():
        raise ConfigError(
            f"'{text}': expected field=value, such as similarity_threshold=0.95", about=("settings",)
        )
    return field.strip(), parse_yaml(f"value: {value}", f"parameter {field}")["value"]


def read_budget(text: str) -> dict[str, Any]:
    """Return the budget of an option such as ``64`` or ``22.2%``, as `with_budget` takes it; nothing for no text.

    Raises:
        ConfigError: It is neither a whole number of tokens from 1 nor a share above 0 %, up to 100 %.
    """
    if not text:
        return {}
    try:
        budget: dict[str, Any] = (
            {"share": real_number(text.removesuffix("%")) / 100}
            if text.endswith("%")
            else {"tokens": whole_number(text)}
        )
        _check(budget, f"budget {text}")
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"budget {text}: expected a whole number of visual tokens such as 64, or a share such as 22.2%"
        ) from error
    return budget


def with_budget(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyper-parameters with the words ``tokens`` and ``share`` replaced by the fields that they set.

    Args:
        name: Registry name of the method, whose `MethodStudy.for_tokens` and `MethodStudy.for_share` say what they
            mean.
        parameters: By field; a method's own field of such a name is left alone.

    Raises:
        ConfigError: No budget, one that the method cannot be set by, or one beside a field that it sets.
    """
    left = dict(parameters)
    stated: dict[str, Any] = {}
    if not left.keys() & set(_WORDS):
        return left
    method = METHODS.load(name)
    for word in _WORDS:
        if word not in left or hasattr(method, word):
            continue
        value = left.pop(word)
        if stated:
            raise ConfigError(f"method '{name}': tokens and share were both given; expected one budget")
        _check({word: value}, f"method '{name}'")
        study = method.study
        stated = study.for_tokens(method, value) if word == "tokens" else study.for_share(method, value)
        if not stated:
            raise ConfigError(
                f"method '{name}' is not set by {_MEANS[word]}; give its own parameters, or let "
                "focal.compare_methods solve for the budget on prompts"
            )
        if both := stated.keys() & left.keys():
            raise ConfigError(
                f"method '{name}': {word}={value} sets {', '.join(sorted(stated))}, and "
                f"{' and '.join(sorted(both))} was given beside it; give one or the other"
            )
    return left | stated


_MEANS = {"tokens": "a number of visual tokens", "share": "a share of the visual tokens"}


def _check(budget: Mapping[str, Any], where: str) -> None:
    for word, value in budget.items():
        if word == "tokens" and (type(value) is not int or value < 1):
            raise ConfigError(f"{where}: tokens must be a whole number from 1, got {value!r}")
        if word == "share" and (type(value) not in (int, float) or not 0 < value <= 1):
            raise ConfigError(f"{where}: share must lie in (0, 1], above 0 % and up to 100 %, got {value!r}")
