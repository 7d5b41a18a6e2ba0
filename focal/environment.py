"""What is installed and whether models can run on it; imports torch only when asked."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from focal_algorithm.models.weights import SHIPPED, shipped_model
from focal_algorithm.transformers_versions import version_problem
from focal_common.errors import ConfigError, UnsupportedError

__all__ = ["Check", "checks", "require_runnable"]

_PACKAGES = ("torch", "numpy", "pillow", "av", "scikit-image")


@dataclass(frozen=True)
class Check:
    """One line of ``focal doctor``.

    Attributes:
        subject: What was looked at.
        found: What was found.
        advice: What to do; empty if all is well.
    """

    subject: str
    found: str
    advice: str = ""


def require_runnable() -> None:
    """Raise `UnsupportedError` if torch is missing, transformers was not tried, or torchvision breaks them."""
    if _version("torch") is None:
        raise UnsupportedError("tracing a model needs torch; install 'focal-vlm[algorithm]'")
    problem = version_problem() or _torchvision_problem()
    if problem:
        raise UnsupportedError(problem)


def checks() -> list[Check]:
    """Look at packages, torchvision, threads, devices and shipped models."""
    found = [
        Check(name, _version(name) or "missing", "" if _version(name) else f"pip install {name}")
        for name in _PACKAGES
    ]
    found.append(Check("transformers", _version("transformers") or "missing", version_problem()))
    torchvision = _version("torchvision")
    found.append(Check("torchvision", torchvision or "absent (not needed)", _torchvision_problem()))
    if _version("torch") is not None:
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
        found.append(Check("device", device))
        found.append(Check("threads", f"{torch.get_num_threads()} of {os.cpu_count()} cores"))
    return found + [_shipped(name, family) for name, family in SHIPPED.items()]


def _shipped(name: str, family: str) -> Check:
    subject = f"model {name}"
    try:
        folder = shipped_model(name)
    except ConfigError as error:
        return Check(subject, "missing or changed", str(error))
    megabytes = (folder / "model.safetensors").stat().st_size / 1e6
    return Check(subject, f"trained {family}, {megabytes:.1f} MB, all hashes right")


def _torchvision_problem() -> str:
    # transformers imports torchvision wherever it is installed; one built for another torch fails there
    # with an error about an operator that names neither package.
    installed = _version("torchvision")
    if installed is None or _version("torch") is None:
        return ""
    try:
        importlib.import_module("torchvision")
    except Exception as error:
        reason = " ".join(str(error).split())[:80]
        return (
            f"torchvision {installed} does not fit torch {_version('torch')} ({reason}), "
            "which breaks transformers; uninstall torchvision, Focal does not need it"
        )
    return ""


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
