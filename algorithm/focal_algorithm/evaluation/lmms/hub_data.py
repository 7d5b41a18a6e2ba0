"""Data sets of the Hub on this machine: as `datasets` prepared them, or as ``hf download`` left them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["HubData", "from_snapshots", "hub_home"]

_DATA_FILES = frozenset({".parquet", ".arrow", ".json", ".jsonl", ".csv", ".tsv", ".zip", ".tar"})


@dataclass(frozen=True)
class HubData:
    """A data set.

    Attributes:
        name: On the Hub, owner and name.
        configuration: One of its configurations; empty for its only or default one.
        revision: Branch, tag or commit.
    """

    name: str
    configuration: str = ""
    revision: str = "main"

    @property
    def fetch_command(self) -> str:
        """Command that fetches it."""
        pin = "" if self.revision == "main" else f" --revision {self.revision}"
        return f"hf download --repo-type dataset {self.name}{pin}"

    def is_here(self) -> bool:
        """Tell whether it can be read without a connection."""
        return self.is_prepared() or self.snapshot() is not None

    def is_prepared(self) -> bool:
        """Tell whether `datasets` has read it before: offline it looks at its own cache alone."""
        owner, _, name = self.name.partition("/")
        # As `datasets` names its folders: VQAv2 is vq_av2 there.
        name = re.sub(r"([a-z\d])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()
        pattern = f"{self.configuration or '*'}/*/*/dataset_info.json"
        return any((_prepared_folder() / f"{owner}___{name}").glob(pattern))

    def snapshot(self) -> Path | None:
        """Return the folder that ``hf download`` made of this revision; None where it holds no data."""
        home = _downloads_folder() / f"datasets--{self.name.replace('/', '--')}"
        pointer = home / "refs" / self.revision
        try:
            commit = pointer.read_text(encoding="utf-8").strip() if pointer.is_file() else self.revision
            folder = home / "snapshots" / commit
            # Following links: those of a download that was cut or cleaned up lead nowhere.
            found = any(
                path.suffix in _DATA_FILES and path.is_file() and path.stat().st_size
                for path in folder.rglob("*")
            )
        except (OSError, UnicodeDecodeError):
            return None
        return folder if found else None


def hub_home() -> Path:
    """Return the cache folder of the Hub's libraries, by their rule."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{caches}/huggingface")).expanduser()


def _downloads_folder() -> Path:
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(chosen).expanduser() if chosen else hub_home() / "hub"


def _prepared_folder() -> Path:
    chosen = os.environ.get("LMMS_EVAL_DATASETS_CACHE") or os.environ.get("HF_DATASETS_CACHE")
    return Path(chosen).expanduser() if chosen else hub_home() / "datasets"


@contextmanager
def from_snapshots() -> Iterator[None]:
    """Let `datasets.load_dataset` read what ``hf download`` left, where it would find nothing without a connection.

    Raises:
        OSError: That is no data set, or damaged.
    """
    import datasets

    load = datasets.load_dataset

    def loaded(path: str, name: str | None = None, *values: Any, **named: Any) -> Any:
        asked = HubData(str(path), name or "", named.get("revision") or "main")
        folder = asked.snapshot() if str(path).count("/") == 1 and not asked.is_prepared() else None
        if folder is None:
            return load(path, name, *values, **named)
        try:
            return load(str(folder), name, *values, **named)
        except (ValueError, datasets.exceptions.DatasetsError) as error:
            raise OSError(f"{asked.name} in {folder.parent}: {error.__cause__ or error}") from error

    datasets.load_dataset = loaded
    try:
        yield
    finally:
        datasets.load_dataset = load
