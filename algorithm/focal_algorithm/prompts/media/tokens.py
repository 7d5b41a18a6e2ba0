"""Text to token ids: the checkpoint's tokenizer, or bytes where weights are random anyway."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from focal_common.reading.model_folders import foreign_sentences


class Tokenizer(Protocol):
    """What a run needs of a tokenizer."""

    def encode(self, text: str) -> list[int]:
        """Return token ids without special tokens added."""

    def decode(self, token_ids: list[int]) -> str:
        """Return text."""

    def unknown_words(self, text: str) -> list[str]:
        """Return the words that all become the same token for want of a better one."""


class ByteTokenizer:
    """One token per byte of UTF-8; ids above 255 are the model's special tokens and decode to nothing.

    Args:
        special: Marks that are one token each, with their ids above 255.
    """

    def __init__(self, special: Mapping[str, int] | None = None) -> None:
        self._special = dict(special or {})

    def encode(self, text: str) -> list[int]:
        """Return the bytes of ``text``, special marks as one token."""
        if not self._special:
            return list(text.encode("utf-8"))
        marks = "|".join(re.escape(mark) for mark in self._special)
        token_ids: list[int] = []
        for part in re.split(f"({marks})", text):
            token_ids += [self._special[part]] if part in self._special else part.encode("utf-8")
        return token_ids

    def decode(self, token_ids: list[int]) -> str:
        """Return the text of the bytes among ``token_ids``."""
        return bytes(token for token in token_ids if token < 256).decode("utf-8", errors="replace")

    def unknown_words(self, text: str) -> list[str]:
        """Return none: every text has bytes."""
        return []


class _CheckpointTokenizer:
    def __init__(self, tokenizer: object) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))  # type: ignore[attr-defined]

    def decode(self, token_ids: list[int]) -> str:
        return str(self._tokenizer.decode(token_ids, skip_special_tokens=True))  # type: ignore[attr-defined]

    def unknown_words(self, text: str) -> list[str]:
        unknown = getattr(self._tokenizer, "unk_token_id", None)
        if unknown is None:
            return []
        return [word for word in re.findall(r"[\w-]+|[^\w\s]", text) if unknown in self.encode(word)]


def checkpoint_tokenizer(
    location: str,
    is_offline: bool,
    trust_remote_code: bool = False,
    otherwise: Tokenizer | None = None,
) -> Tokenizer:
    """Return the tokenizer of a checkpoint.

    Args:
        location: Folder or Hub name.
        is_offline: Whether only local files may be used.
        trust_remote_code: Whether Python code from the checkpoint may run.
        otherwise: For a local folder without a tokenizer; bytes if None.

    Raises:
        ConfigError: The tokenizer files cannot be read.
    """
    folder = Path(location)
    if folder.is_dir() and not any(folder.glob("tokenizer*")):
        return otherwise or ByteTokenizer()
    from transformers import AutoTokenizer

    with foreign_sentences(location, "a readable tokenizer"):
        return _CheckpointTokenizer(
            AutoTokenizer.from_pretrained(
                location, local_files_only=is_offline, trust_remote_code=trust_remote_code
            )
        )
