"""Traces made on demand: ``focal trace`` runs as a child process into a cache that is keyed by content."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PositiveFloat

from focal_common import __version__
from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError, TraceError
from focal_common.files import sha256_of_file
from focal_common.places import PlainName
from focal_common.provenance import content_hash
from focal_simulator.sweep.providers.base import (
    ProviderContext,
    TraceCache,
    Traced,
    TraceProvider,
    chosen_workloads,
)
from focal_traces.root.root import TraceRoot

_LONGEST_REASON = 300
_FOCAL = (sys.executable, "-c", "from focal.commands.main import main; main()")
"""The command ``focal`` of this installation, whatever the search path holds."""


class CommandOptions(StrictModel):
    """Options of the provider ``command``.

    Attributes:
        arguments: Words after ``focal trace``, such as ``--size tiny``; no shell reads them.
        command: Program and first words in place of ``focal trace``. It must understand ``--set field=value`` and
            ``--output folder`` and leave a trace root.
        folder: Trace folder the command writes.
        inputs: Files or folders beside the arguments whose content decides the trace.
        timeout_s: Longest run of one trace.
    """

    arguments: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    folder: PlainName | None = None
    inputs: tuple[str, ...] = ()
    timeout_s: PositiveFloat = 3600.0


class CommandTraces(TraceProvider):
    """Runs a command once for each set of method parameters and keeps its trace root."""

    runs_commands: ClassVar[bool] = True
    makes_traces: ClassVar[bool] = True

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._options = validated(CommandOptions, dict(context.options), "traces.options")
        self._cache = TraceCache(context.cache, self._hash())

    def parameters(self) -> None:
        """Return None: the method behind the command checks its parameters."""

    def fingerprint(self) -> str:
        """Return a hash of the command, its arguments and inputs, and the version of Focal."""
        return self._cache.fingerprint

    def _hash(self) -> str:
        inputs = {}
        for given in self._options.inputs:
            path = Path(given)
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_dir():
                    continue
                if not file.is_file():
                    raise ConfigError(f"traces.options.inputs: '{given}' does not exist")
                inputs[str(file.relative_to(path.parent))] = sha256_of_file(file)
        words = [*(self._options.command or ("focal", "trace")), *self._options.arguments]
        return content_hash({"words": words, "inputs": inputs, "version": __version__})

    def traced(self, parameters: Mapping[str, Any]) -> Traced:
        """Return the workloads of the trace root for these parameters, made now or found in the cache."""

        def make(work: Path) -> None:
            words = [*(self._options.command or (*_FOCAL, "trace")), *self._options.arguments]
            self._run([*words, *_parameter_words(parameters), "--output", str(work)])

        root = TraceRoot.open(self._cache.root(parameters, make))
        return Traced(
            chosen_workloads(root, self.context.workloads, self._options.folder or self.context.folder)
        )

    def _run(self, words: Sequence[str]) -> None:
        try:
            done = subprocess.run(
                list(words),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=self._options.timeout_s,
            )
        except FileNotFoundError as error:
            raise ConfigError(f"traces.options.command: '{words[0]}' does not exist") from error
        except subprocess.TimeoutExpired as error:
            raise TraceError(
                f"the trace took longer than {self._options.timeout_s:g} s (timeout_s)"
            ) from error
        if done.returncode:
            said = " ".join(done.stderr.split()).removeprefix("error: ")
            raise TraceError(
                f"the trace command ended with code {done.returncode}: {said[-_LONGEST_REASON:]}"
            )


def _parameter_words(parameters: Mapping[str, Any]) -> list[str]:
    """Return ``--set name=value`` for each parameter, by name."""
    words = []
    for name, value in sorted(parameters.items()):
        words += ["--set", f"{name}={json.dumps(value)}"]
    return words
