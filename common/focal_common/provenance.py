"""Where a number comes from, and under which conditions a result was made."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)

Origin = Literal["measured", "simulated", "estimated", "synthetic", "synthetic, calibrated", "published"]
"""How a number came to be. Every exported table and figure carries one of these words."""


def content_hash(value: Any) -> str:
    """Return the SHA-256 of a JSON-like value, equal for equal content whatever the key order."""
    return hashlib.sha256(_CANONICAL.encode(value).encode("utf-8")).hexdigest()


def package_versions(*names: str) -> dict[str, str]:
    """Return installed versions by distribution name; one that is absent is left out."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def source_hash(package: str) -> str:
    """Return the SHA-256 of the Python files of an installed package, by their names in it: other code, other hash.

    Args:
        package: Top-level name of a package made of files.
    """
    root = Path(str(files(package)))
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def code_revision() -> dict[str, Any]:
    """Return the git commit of the source tree and whether it has local changes.

    Returns:
        ``{"commit": hex, "is_dirty": bool}``, or ``{"commit": None, "is_dirty": None}`` where the package was
        installed without its repository.
    """
    here = Path(__file__).resolve().parent

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {
            "commit": ask("rev-parse", "HEAD"),
            "is_dirty": bool(ask("status", "--porcelain", "-uno")),
        }
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "is_dirty": None}


def manifest(configuration: Any, *packages: str, **extra: Any) -> dict[str, Any]:
    """Return what a reader needs to repeat a run: configuration, its hash, code, versions, command line.

    Args:
        configuration: JSON-like resolved settings of the run.
        *packages: Distributions whose versions matter to the result.
        **extra: Further JSON-like fields, such as ``seed`` or ``wall_time_s``.
    """
    return {
        "configuration": configuration,
        "configuration_sha256": content_hash(configuration),
        "code": code_revision(),
        "versions": package_versions("focal-vlm", *packages),
        "command": command_line(),
        **extra,
    }


def command_line() -> list[str]:
    """Return the words of the command that is being run, program and verb first."""
    program = Path(sys.argv[0]).name
    verb = program.removeprefix("focal ")  # the command `focal` puts its verb into the name of the program
    words = [*(["focal", verb] if verb != program else [program]), *sys.argv[1:]]
    return [word.encode("utf-8", "backslashreplace").decode() for word in words]
