"""Who may work on a run: one process, or the shards of one dealing; and what the samples of a journal belong to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from focal_common.errors import ConfigError, FocalError, RunError
from focal_common.files import atomic_write_text, file_lock
from focal_common.places import MARKER, make_folder, remove_folder
from focal_common.provenance import command_line
from focal_common.reading.json_files import parse_object, read_json
from focal_common.spreading.shards import Shard

JOURNAL = ".journal"
"""Folder of what is finished of runs that are not done, in the folder of their results."""

RUN = "run.json"
"""Of a journal: what it belongs to, and the command that began it."""


@contextmanager
def claimed(folder: Path, shard: Shard | None = None) -> Iterator[None]:
    """Hold a run against others who would do the same work; lock files lie beside ``folder`` meanwhile.

    Args:
        folder: Journal of the run; need not exist.
        shard: Part of the run that is claimed; None for all of it.

    Raises:
        RunError: Another process works on the run, on this shard of it, or on a shard of another dealing.
    """
    busy = f"{folder.parent.parent}: another command is working on this run; wait for it or stop it"
    lock = folder.with_name(f"{folder.name}.lock")
    output = folder.parent.parent
    is_new = not output.exists()
    with ExitStack() as held:
        if is_new:
            held.callback(_remove_if_empty, output)
        held.callback(_remove_if_empty, folder.parent)
        held.enter_context(file_lock(lock, busy, is_shared=shard is not None, is_temporary=True))
        if shard is not None:
            for other in folder.parent.glob(f"{folder.name}.*-of-*.lock"):
                if not other.name.endswith(f"-of-{shard.count}.lock"):
                    said = f"{folder.parent.parent}: is dealt out in another number of shards now ({other.stem}), "
                    said += f"not in {shard.count}; wait for them or stop them"
                    with file_lock(other, said, is_temporary=True):
                        pass
            own = folder.with_name(f"{folder.name}.{shard.number}-of-{shard.count}.lock")
            taken = (
                f"{folder.parent.parent}: another command is working on shard {shard}; wait for it or stop it"
            )
            held.enter_context(file_lock(own, taken, is_temporary=True))
        try:
            yield
        except Exception:
            if (
                shard is None
                and folder.is_dir()
                and {path.name for path in folder.iterdir()} <= {RUN, MARKER}
            ):
                remove_folder(folder)  # a run that fails before its first sample leaves nothing
            raise


@contextmanager
def finishing(folder: Path) -> Iterator[None]:
    """Hold what only one shard may do at a time, such as to put the result together."""
    with file_lock(folder.with_name(f"{folder.name}.finish.lock"), is_temporary=True):
        yield


def open_journal(
    folder: Path,
    identity: Mapping[str, Any],
    is_shared: bool,
    note: Callable[[str], Any] = lambda sentence: None,
    **facts: Any,
) -> None:
    """Make the journal of a run, or check that it is of this very run.

    Args:
        folder: Of the journal.
        identity: JSON-like parts that decide the results, by the name to call them by, such as ``weights``.
        is_shared: Whether others fill it too; one of another run is then refused, and else begun anew.
        note: Told where it is begun anew.
        **facts: JSON-like, kept beside the identity.

    Raises:
        ConfigError: It is of another run.
        RunError: It cannot be written, or is damaged.
    """
    wanted = parse_object(json.dumps(dict(identity), default=str), str(folder))
    with finishing(folder):
        found = journal_identity(folder)
        if found is not None and found != wanted:
            if is_shared:
                same_run(folder, found, Path("this command"), wanted)
            note(f"{_first(wanted, found)[0]} changed since the interrupted run, so it starts again")
            remove_folder(folder)
            found = None
        if found is None:
            make_folder(folder)
            atomic_write_text(
                folder / RUN,
                json.dumps({"identity": wanted, "command": command_line(), **facts}, indent=1) + "\n",
            )


def journal_facts(folder: Path) -> dict[str, Any]:
    """Return what `open_journal` wrote; empty where there is no journal.

    Raises:
        RunError: It is damaged.
    """
    path = folder / RUN
    if not path.exists():
        return {}
    hint = "remove its folder to start the run again"
    found = read_json(path, RunError, hint)
    if not isinstance(found.get("identity"), dict):
        raise RunError(f"{path}: expected an object 'identity'; {hint}")
    return found


def journal_identity(folder: Path) -> dict[str, Any] | None:
    """Return the identity of a journal; None where there is none."""
    return journal_facts(folder).get("identity")


def drop_journal(folder: Path) -> None:
    """Remove the journal of a run that is done, and its parent where that is empty."""
    remove_folder(folder)
    _remove_if_empty(folder.parent)


def _remove_if_empty(folder: Path) -> None:
    with suppress(FocalError, OSError):  # somebody may have begun another run meanwhile
        if folder.is_dir() and not any(folder.iterdir()):
            remove_folder(folder)


def same_run(first: Path, found: Mapping[str, Any], second: Path, wanted: Mapping[str, Any]) -> None:
    """Refuse samples of two runs as one.

    Args:
        first: Journal, for the message.
        found: Its identity.
        second: Another.
        wanted: Its identity.

    Raises:
        ConfigError: The identities differ.
    """
    if found == wanted:
        return
    name, there, here = _first(found, wanted)
    raise ConfigError(
        f"{first} and {second} are not of one run: {name} is {there!s:.60} there and {here!s:.60} here; give every "
        "worker the same, or remove the folder to start again"
    )


def _first(first: Any, second: Any) -> tuple[str, Any, Any]:
    """Return name and values of the first part that differs."""
    path = ""
    while isinstance(first, dict) and isinstance(second, dict):
        name = next(one for one in {**first, **second} if first.get(one) != second.get(one))
        first, second, path = first.get(name), second.get(name), f"{path}.{name}".lstrip(".")
    return path, first, second
