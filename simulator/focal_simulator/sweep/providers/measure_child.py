"""A child process that measures: it starts once, loads its model once, and is asked line by line."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from focal_common.errors import ConfigError, TraceError
from focal_simulator.sweep.providers.trace_cache import child_environment

__all__ = ["Identity", "MeasureChild"]

_LONGEST_REASON = 300
_LAST_WORDS_BYTES = 4000
_IDENTITY_TIMEOUT_S = 120.0
_END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What a measuring command prints for ``--identity``.

    Attributes:
        sha256: Hash of everything beside the parameters that decides a measurement.
        parameters: Names of the parameters it takes; None if it does not say.
    """

    sha256: str
    parameters: tuple[str, ...] | None = None


class MeasureChild:
    """The command behind a provider.

    Args:
        words: Program and arguments, without ``--identity`` and ``--lines``.
        timeout_s: Longest measurement of one set of parameters, the start included.
    """

    def __init__(self, words: Sequence[str], timeout_s: float) -> None:
        self._words, self._timeout_s = list(words), timeout_s
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None

    def identity(self) -> Identity:
        """Return what the command says of itself.

        Raises:
            ConfigError: The command does not exist, or refuses its arguments.
        """
        try:
            done = subprocess.run(
                [*self._words, "--identity"],
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_IDENTITY_TIMEOUT_S,
            )
        except FileNotFoundError as error:
            raise ConfigError(f"traces.options.command: '{self._words[0]}' does not exist") from error
        except subprocess.TimeoutExpired as error:
            raise ConfigError(
                f"traces.options.command: --identity took longer than {_IDENTITY_TIMEOUT_S:g} s"
            ) from error
        if done.returncode or not done.stdout.strip():
            said = _sentence(done.stderr) or "it printed no hash"
            raise ConfigError(f"traces.options: the measuring command refused to start: {said}")
        sha256, _, more = done.stdout.strip().partition("\n")
        return Identity(sha256.strip(), _parameters(more))

    def measure(self, parameters: Mapping[str, Any], output: Path) -> None:
        """Have one set of parameters measured into a folder.

        Raises:
            TraceError: It was refused, took too long, or the child ended.
        """
        process = self._running()
        request = json.dumps({"parameters": dict(parameters), "output": str(output)}, sort_keys=True)
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            process.kill()

        watch = threading.Timer(self._timeout_s, stop)
        watch.start()
        try:
            reply = _asked(process, request)
        finally:
            watch.cancel()
        if is_late.is_set():
            self._process = None
            raise TraceError(f"the measurement took longer than {self._timeout_s:g} s (timeout_s)")
        if not reply:
            raise self._ended(process)
        self._check(reply)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (read when the child has ended)
        self._process = subprocess.Popen(
            [*self._words, "--lines"],
            env=child_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        weakref.finalize(self, _end, self._process)
        return self._process

    def _ended(self, process: subprocess.Popen[str]) -> TraceError:
        code = process.wait()
        self._process = None
        said = ""
        if self._errors is not None:
            size = self._errors.seek(0, 2)
            self._errors.seek(max(0, size - _LAST_WORDS_BYTES))
            said = _sentence(self._errors.read().decode("utf-8", "replace"))
        return TraceError(f"the measuring command ended with code {code}: {said}")

    def _check(self, reply: str) -> None:
        try:
            content = json.loads(reply)
            is_reply = isinstance(content, dict) and bool({"metrics", "error"} & content.keys())
        except ValueError:
            is_reply = False
        if not is_reply:
            raise TraceError(f"the measuring command replied {reply[:80]!r}; expected one line of JSON")
        if "error" in content:
            raise TraceError(f"the measurement failed: {_sentence(str(content['error']))}")


def _parameters(text: str) -> tuple[str, ...] | None:
    """Return the parameters named in the second line of an identity."""
    if not text.strip():
        return None
    try:
        names = json.loads(text)["parameters"]
    except (ValueError, KeyError, TypeError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"traces.options.command: --identity printed {text.strip()[:80]!r} after the hash; expected one line of "
            'JSON such as {"parameters": ["m_tile"]}'
        )
    return tuple(names)


def _asked(process: subprocess.Popen[str], request: str) -> str:
    """Return the reply; empty if the child has ended."""
    assert process.stdin is not None  # noqa: S101  (opened as a pipe)
    assert process.stdout is not None  # noqa: S101  (likewise)
    try:
        process.stdin.write(request + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()


def _sentence(text: str) -> str:
    return " ".join(text.split()).removeprefix("error: ")[-_LONGEST_REASON:]


def _end(process: subprocess.Popen[str]) -> None:
    """Close the child's input, upon which it leaves; end it if it does not."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
