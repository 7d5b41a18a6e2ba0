"""Where weights go: one device, or several as accelerate spreads them, which is one word or a map of modules."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import torch

from focal_common.errors import ConfigError, UnsupportedError
from focal_common.reading.yaml_files import parse_yaml

PLANS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways in which accelerate fills devices; the words are those of ``from_pretrained(device_map=...)``."""

_HOST = ("cpu", "disk")


@dataclass(frozen=True)
class Place:
    """Where a model goes.

    Attributes:
        kind: Kind of the devices that compute, ``cpu`` or ``cuda``.
        device_map: For `from_pretrained`: a word of `PLANS`, or device by module; None for one device.
    """

    kind: str
    device_map: str | dict[str, Any] | None = None

    @classmethod
    def read(cls, device: str) -> Place:
        """Read a torch device, a word of `PLANS`, or a JSON object of devices by module, ``disk`` among them.

        Raises:
            ConfigError: None of these, or a device that is not here.
            UnsupportedError: This machine has no CUDA device, or a spread model would need accelerate.
        """
        if not device.startswith("{") and device not in PLANS:
            return cls(_kind(device))
        if importlib.util.find_spec("accelerate") is None:
            raise UnsupportedError(
                f"device {device}: spreading a model needs accelerate; pip install accelerate"
            )
        if device in PLANS:
            return cls("cuda" if torch.cuda.is_available() else "cpu", device)
        found = parse_yaml(device, f"device map {device}")  # JSON is YAML
        if not found or not all(type(place) in (str, int) for place in found.values()):
            raise ConfigError(
                f"device map {device}: expected a device for each module, such as 0, cpu or disk"
            )
        kinds = [
            _kind(f"cuda:{one}" if isinstance(one, int) else one)
            for one in found.values()
            if one not in _HOST
        ]
        return cls(next(iter(kinds), "cpu"), found)


def check_device(name: str) -> str:
    """Return the kind of the devices that compute where a model is placed so; see `Place.read` for errors."""
    return Place.read(name).kind


def _kind(name: str) -> str:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(
            f"device '{name}' is no torch device; expected cpu or cuda, or {', '.join(PLANS)} to spread a model"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UnsupportedError(f"device {name}: torch {torch.__version__} finds no CUDA device; use cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {name}: expected cuda:0 to cuda:{torch.cuda.device_count() - 1}")
    return str(device.type)
