"""What decides the answers of a model: family, method and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveInt

from focal_algorithm.models.arithmetic import our_name
from focal_algorithm.tasks.asking import read_batch
from focal_algorithm.tracing.identity import checkpoint_digest
from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, UnsupportedError
from focal_common.reading.yaml_files import parse_yaml

_METHOD_PREFIX = "method."
_OTHER_NAMES = {"pretrained": "model", "device_map": "device", "attn_implementation": "attention"}
_NOT_IDENTITY = (
    "answers",
    "batch_size",
    "profile",
    "trust_remote_code",
    "model",
    "revision",
    "size",
    "seed",
)
"""Options that decide no answer, or that the weights stand for."""


class ModelOptions(StrictModel):
    """Options of our model in lmms-eval; the names are those of ``focal trace``.

    Attributes:
        model: Shipped model, family with random weights, checkpoint folder, or Hub name.
        revision: Revision of a Hub name: commit, branch or tag; empty for its newest.
        method: Compression method.
        parameters: Parameters of the method, over published or default ones.
        size: Size of a random model.
        seed: Seed of random weights.
        dtype: ``fp32``, ``bf16`` or ``fp16``.
        precision: Of linear layers: ``float``, ``int8`` or ``nf4``.
        device: torch device, or how to spread a checkpoint over several (``auto``).
        attention: ``sdpa``, ``eager`` or ``flash_attention_2``.
        frames: Most frames taken from a video file.
        profile: ``offline`` for local files only, or ``hub``.
        trust_remote_code: Whether code of a checkpoint may run.
        frame_tasks: Beginnings of the names of tasks whose several images are the frames of one video.
        batch_size: Questions in a batch, or ``auto`` for as many as the memory takes; decides no answer.
        answers: File of finished answers, from which an interrupted evaluation goes on; None keeps none.
    """

    model: str = "llava_onevision"
    revision: str = ""
    method: str = "dense"
    parameters: dict[str, Any] = Field(default_factory=dict)
    size: str = "small"
    seed: NonNegativeInt = 0
    dtype: Annotated[str, BeforeValidator(our_name)] = "fp32"
    precision: Annotated[Literal["float", "int8", "nf4"], BeforeValidator(our_name)] = "float"
    device: str = "cpu"
    attention: Annotated[Literal["sdpa", "eager", "flash_attention_2"], BeforeValidator(our_name)] = "sdpa"
    frames: PositiveInt = 16
    profile: Literal["offline", "hub"] = "offline"
    trust_remote_code: bool = False
    frame_tasks: tuple[str, ...] = ("mvbench",)
    batch_size: str = "1"
    answers: Path | None = None

    def identity(self, loaded: str = "") -> dict[str, Any]:
        """Return what the answers to all questions depend on, as JSON values.

        The method's parameters are those given. Those in force depend on the data set too, see `Answerer.method`;
        they are part of the key of each answer.

        Args:
            loaded: `LoadedModel.checkpoint`, where the model is loaded: it holds the commit of a Hub name.
        """
        values = self.model_dump(exclude=set(_NOT_IDENTITY))
        return values | {"checkpoint": checkpoint_digest(self.model, self.size, self.seed, loaded)}


@dataclass(frozen=True)
class Sweep:
    """Parameters of the method that vary, and their values.

    Attributes:
        name: Fields joined by ``+``, in the manner of ``frame_block_size+block_size``.
        points: What is written into the table for each value, and the parameters that it stands for, in order.
    """

    name: str
    points: tuple[tuple[str, dict[str, Any]], ...]

    @classmethod
    def read(cls, text: str) -> Sweep:
        """Read ``vector_size=16,32`` or, for fields that vary together, ``frame_block_size+block_size=1x2,2x3``.

        Raises:
            ConfigError: Not of this form.
        """
        name, equals, values = (part.strip() for part in text.partition("="))
        fields, points = name.split("+"), []
        for value in filter(None, (part.strip() for part in values.split(","))):
            parts = value.split("x") if len(fields) > 1 else [value]
            if len(parts) != len(fields):
                raise ConfigError(
                    f"sweep of {name}: '{value}' has {len(parts)} parts, expected {len(fields)}",
                    about=("sweep",),
                )
            read = (parse_yaml(f"value: {part}", f"sweep of {name}")["value"] for part in parts)
            points.append((value, dict(zip(fields, read, strict=True))))
        if not equals or not points or not all(fields):
            raise ConfigError(
                f"sweep '{text}': expected field=value,value,..., such as vector_size=16,32", about=("sweep",)
            )
        return cls(name, tuple(points))


def options_from_arguments(arguments: Mapping[str, Any]) -> ModelOptions:
    """Read model arguments of lmms-eval, ``model=FOLDER,method=focus,method.vector_size=16``.

    Lists are written with semicolons: ``method.selected_layers=2;4``. What other models of lmms-eval call
    ``pretrained``, ``device_map``, ``attn_implementation`` is known, too.

    Raises:
        ConfigError: An unknown name or a value of the wrong kind.
        UnsupportedError: Batches of 8-bit layers.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    given["batch_size"] = str(given.get("batch_size", 1))
    read_batch(given["batch_size"])
    for other, name in _OTHER_NAMES.items():
        if other in given:
            if name in given:
                raise ConfigError(f"model_args: both '{name}' and '{other}' are given; they mean the same")
            given[name] = given.pop(other)
    parameters = dict(given.pop("parameters", {}))
    for name in [name for name in given if name.startswith(_METHOD_PREFIX)]:
        parameters[name.removeprefix(_METHOD_PREFIX)] = _value(given.pop(name))
    if isinstance(given.get("frame_tasks"), str):
        given["frame_tasks"] = tuple(filter(None, given["frame_tasks"].split(";")))
    options = validated(ModelOptions, given | {"parameters": parameters}, "model_args")
    if options.precision == "int8" and options.batch_size != "1":
        raise UnsupportedError(
            f"precision {options.precision}: its layers choose outliers over all rows of a batch, so an answer would "
            f"depend on its neighbours; expected a batch of 1, got {options.batch_size}"
        )
    return options


def _value(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    listed = "[" + text.replace(";", ",") + "]" if ";" in text else text
    return parse_yaml(f"value: {listed}", "model_args")["value"]
