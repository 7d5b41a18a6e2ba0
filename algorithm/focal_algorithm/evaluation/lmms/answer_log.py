"""Finished answers on disk, one line each, so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from focal_common.errors import ConfigError, RunError
from focal_common.files import atomic_write_text
from focal_common.provenance import content_hash

__all__ = ["AnswerLog"]

_FORMAT = "focal answers 1"


class AnswerLog:
    """Answers by request key. A line is written as soon as its answer is known; a torn last line is dropped.

    Args:
        path: File; None keeps answers in memory only.
        identity: What the answers depend on; a file of another identity is refused.

    Raises:
        ConfigError: The file belongs to another configuration, or is damaged before its last line.
    """

    def __init__(self, path: Path | None, identity: dict[str, Any]) -> None:
        self._path = path
        self._answers: dict[str, tuple[str, float]] = {}
        self._target: TextIO | None = None
        header = {"format": _FORMAT, "identity_sha256": content_hash(identity), "identity": identity}
        self.resumed = self._read(path, header) if path is not None and path.is_file() else 0
        if path is not None:
            if not path.is_file():
                atomic_write_text(path, json.dumps(header, sort_keys=True, default=str) + "\n")
            self._target = path.open("a", encoding="utf-8")

    def get(self, key: str) -> str | None:
        """Return a finished answer, or None."""
        found = self._answers.get(key)
        return None if found is None else found[0]

    def seconds(self, key: str) -> float:
        """Return the wall time that an answer took when it was found; 0 where there is none."""
        return self._answers.get(key, ("", 0.0))[1]

    def put(self, key: str, answer: str, seconds: float) -> None:
        """Keep an answer.

        Raises:
            RunError: It cannot be written.
        """
        self._answers[key] = (answer, seconds)
        if self._target is None:
            return
        row = {"key": key, "answer": answer, "seconds": round(seconds, 6)}
        try:
            self._target.write(json.dumps(row) + "\n")
            self._target.flush()
        except OSError as error:
            raise RunError(
                f"{self._path}: could not be written ({error.strerror}); finished answers are kept"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._target is not None:
            self._target.close()

    def _read(self, path: Path, header: dict[str, Any]) -> int:
        try:
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]  # what follows is torn, perhaps within a letter
            lines = whole.decode("utf-8").splitlines()
            first, *rows = [json.loads(line) for line in lines]
            found = first["identity_sha256"] if first["format"] == _FORMAT else ""
            self._answers = {row["key"]: (str(row["answer"]), float(row["seconds"])) for row in rows}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path}: is damaged; remove it to answer all questions again") from error
        if found != header["identity_sha256"]:
            raise ConfigError(
                f"{path}: holds answers of another model or method; remove it or choose another folder"
            )
        if whole != content:
            atomic_write_text(path, whole.decode("utf-8"))
        return len(rows)
