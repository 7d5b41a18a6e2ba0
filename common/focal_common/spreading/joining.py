"""Journals of shards that worked in separate folders, put together in one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from focal_common.commit import MANIFEST_SUFFIX, sealed_files, verify_set
from focal_common.errors import ConfigError
from focal_common.files import atomic_path
from focal_common.places import make_folder
from focal_common.reading.json_files import read_json
from focal_common.spreading.claims import JOURNAL, RUN, journal_facts, same_run

_SHARD_FILE = re.compile(r"(.+)\.([0-9]{1,9})-of-([0-9]{1,9})\.jsonl")


def join_journals(folders: Sequence[Path], output: Path) -> list[str]:
    """Copy what shards have finished in several folders into one, and return the command that they came from.

    Args:
        folders: Output folders of the shards.
        output: Folder of the whole run; may be one of ``folders``.

    Raises:
        ConfigError: There is nothing of a shard, parts are of different runs, differ where they overlap, or lack
            samples or shards. Nothing was copied.
        TraceError: A finished sample is damaged.
        RunError: The output cannot be written.
    """
    journals = {folder: list(_journals(folder)) for folder in folders}
    for folder, found in journals.items():
        if not found and not list(_answers(folder)):
            raise ConfigError(
                f"{folder}: holds no finished samples of a shard; expected the output folder of one"
            )
    copies: dict[Path, Path] = {}
    commands: list[list[str]] = []
    names = dict.fromkeys(path.relative_to(folder) for folder, found in journals.items() for path in found)
    for name in names:
        parts = [folder / name for folder in folders if (folder / name / RUN).is_file()]
        facts = [journal_facts(part) for part in parts]
        for part, one in zip(parts, facts, strict=True):
            same_run(parts[0], facts[0]["identity"], part, one["identity"])
        commands.append(list(facts[0].get("command", ())))
        own = _samples(parts)
        units = facts[0].get("units")
        if units is not None and (
            lacking := sorted(set(range(units)) - {int(one) for one in own if one.isdigit()})
        ):
            listed = ", ".join(map(str, lacking[:8])) + (" and more" if len(lacking) > 8 else "")
            raise ConfigError(
                f"{name}: {len(lacking)} of {units} samples are missing ({listed}); name the folders of all shards, or "
                "run the missing ones"
            )
        for part in parts:
            copies |= {
                path: output / name / path.relative_to(part)
                for path in sorted(part.rglob("*"))
                if path.is_file()
            }
            if (part.parent / "row.json").is_file():
                copies[part.parent / "row.json"] = (output / name).parent / "row.json"
    copies |= _answer_copies(folders, output)
    for name in names:
        make_folder(output / name)
    for source, target in copies.items():
        if source != target and not source.name.startswith(".") and not target.is_file():
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
    return next((command for command in commands if command), [])


def _journals(folder: Path) -> Iterator[Path]:
    for pattern in (f"{JOURNAL}/*/{RUN}", f"accuracy/{JOURNAL}/*/{RUN}", f"matrix/**/samples/{RUN}"):
        yield from (path.parent for path in sorted(folder.glob(pattern)))


def _samples(parts: Sequence[Path]) -> dict[str, dict[str, str]]:
    """Return the hashes of the files of every sample, by its name; refuse samples that differ between parts."""
    found: dict[str, dict[str, str]] = {}
    places: dict[str, Path] = {}
    for part in parts:
        for manifest in sorted(part.rglob(f"*{MANIFEST_SUFFIX}")):
            verify_set(manifest)
            name = manifest.relative_to(part).as_posix().removesuffix(MANIFEST_SUFFIX)
            files = sealed_files(manifest) or {}
            said = {**files, "answer": str(_said(manifest))}
            if found.setdefault(name, said) != said:
                raise ConfigError(
                    f"{manifest}: sample {name} differs from that in {places[name]}; they should be equal, so one of "
                    "them is wrong: remove it"
                )
            places.setdefault(name, part)
    return found


def _said(manifest: Path) -> Any:
    tree = read_json(manifest)
    facts = tree.get("facts")
    return [tree.get("answer"), facts.get("replies") if isinstance(facts, dict) else None]


def _answers(folder: Path) -> Iterator[Path]:
    for pattern in ("answers/*.jsonl", "accuracy/answers/*.jsonl"):
        yield from (path for path in sorted(folder.glob(pattern)) if _SHARD_FILE.fullmatch(path.name))


def _answer_copies(folders: Sequence[Path], output: Path) -> dict[Path, Path]:
    copies: dict[Path, Path] = {}
    shards: dict[Path, tuple[set[int], int]] = {}
    heads: dict[Path, bytes] = {}
    for folder in folders:
        for path in _answers(folder):
            match = _SHARD_FILE.fullmatch(path.name)
            assert match is not None  # noqa: S101  (as `_answers` yields them)
            place = path.relative_to(folder)
            whole, number, count = place.with_name(match[1]), int(match[2]), int(match[3])
            head = path.read_bytes().partition(b"\n")[0]
            if heads.setdefault(whole, head) != head:
                raise ConfigError(
                    f"{path}: holds answers of another model, method or setting than its namesakes"
                )
            numbers, known = shards.setdefault(whole, (set(), count))
            if known != count or (number in numbers and path != output / place):
                raise ConfigError(
                    f"{path}: shard {number}/{count} overlaps with shards of another folder; expected each shard once, "
                    "all of the same number"
                )
            numbers.add(number)
            copies[path] = output / place
    for whole, (numbers, count) in shards.items():
        if lacking := sorted(set(range(1, count + 1)) - numbers):
            raise ConfigError(
                f"{whole}: shard {lacking[0]}/{count} is missing; name the folders of all shards"
            )
    return copies
