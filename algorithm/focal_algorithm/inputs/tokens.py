"""Text to token ids: the checkpoint's tokenizer, or bytes where weights are random anyway."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from focal_common.errors import ConfigError

__all__ = ["ByteTokenizer", "Tokenizer", "checkpoint_tokenizer"]


class Tokenizer(Protocol):
    """What a run needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Return token ids without special tokens added."""

    def decode(self, token_ids: list[int]) -> str:
        """Return text."""


class ByteTokenizer:
    """One token per byte of UTF-8; ids above 255 are the model's special tokens and decode to nothing."""

    def encode(self, text: str) -> list[int]:
        """Return the bytes of ``text``."""
        return list(text.encode("utf-8"))

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of the bytes among ``token_ids``."""
        return bytes(token for token in token_ids if token < 256).decode("utf-8", errors="replace")


class _CheckpointTokenizer:
    def __init__(self, tokenizer: object) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))  # type: ignore[attr-defined]

    def decode(self, token_ids: list[int]) -> str:
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=True))  # type: ignore[attr-defined]


def checkpoint_tokenizer(location: str, is_offline: bool) -> Tokenizer:
    """Return the tokenizer of a checkpoint folder or Hub name; bytes for a local folder without one.

    Raises:
        ConfigError: The tokenizer files cannot be read.
    """
    folder = Path(location)
    if folder.is_dir() and not any(folder.glob("tokenizer*")):
        return ByteTokenizer()
    from transformers import AutoTokenizer

    try:
        return _CheckpointTokenizer(AutoTokenizer.from_pretrained(location, local_files_only=is_offline))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{location}: its tokenizer cannot be read ({' '.join(str(error).split())[:200]})"
        ) from error
