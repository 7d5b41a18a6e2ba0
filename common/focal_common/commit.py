"""Files that change together in one step, and manifests that tell whole sets of files from mixed or edited ones.

New files are written to ``ROOT/.commit/``, synchronised, and listed with their hashes in ``.commit/commit.json``. That
list is the commit point: killed before it, the earlier files stand; killed after it, whoever comes next, reader or
writer, finishes the renames. A manifest is a JSON object with the SHA-256 of every file of a set under ``files`` and of
its own bytes under ``manifest_sha256``. It is renamed into place last.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from focal_common.errors import FocalError, RunError, TraceError
from focal_common.files import atomic_write_text, file_lock, sha256_of_file
from focal_common.places import check_inside, make_folder, plain_path, remove_folder
from focal_common.reading.doors import read_bytes
from focal_common.reading.json_files import parse_line, read_json

MANIFEST = "manifest.json"
"""Of a folder that holds one set of files."""
ROOT_MANIFEST = "root.manifest.json"
"""Of files that several traces or runs share, such as the tables of a trace root."""
MANIFEST_SUFFIX = ".manifest.json"
"""After the stem of a set of files beside others, such as those of one trace."""
LOCK = ".focal.lock"

_STAGE, _LIST = ".commit", "commit.json"
_SEAL, _FILES = "manifest_sha256", "files"
_BLANK = "0" * 64
_PROBE_BYTES = 1 << 16


class Commit:
    """Files that will change together; see `commit`.

    Attributes:
        root: Folder that they are all below.
        stage: Folder with the same paths, where the new files are written meanwhile. Files at the top of ``root`` can
            be read here too, as they were when the commit began.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.stage = root, root / _STAGE
        self._removed: set[str] = set()
        self._sealed: list[tuple[Path, dict[str, Any], tuple[Path, ...]]] = []

    def staged(self, target: Path) -> Path:
        """Return where to write the new content of a file below ``root``; its folder is made."""
        check_inside(self.root, target)
        place = self.stage / target.relative_to(self.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def remove(self, target: Path) -> None:
        """Let a file below ``root`` be removed in the same step; one that is absent passes."""
        self._removed.add(target.relative_to(self.root).as_posix())

    def seal(self, manifest: Path, content: Mapping[str, Any], files: Iterable[Path]) -> None:
        """Write a manifest over files below its folder, changed in this commit or not.

        Args:
            manifest: Where it will lie.
            content: JSON-like object.
            files: Where they will lie; absent ones are left out.
        """
        self._sealed.append((manifest, dict(content), tuple(files)))

    def seal_shared(self, names: Iterable[str], content: Mapping[str, Any]) -> None:
        """Write ``root.manifest.json`` over files at the top of ``root``, beside those that it names already.

        Args:
            names: Of the files.
            content: JSON-like object.
        """
        manifest = self.root / ROOT_MANIFEST
        known = sealed_files(manifest) or {}
        self.seal(manifest, content, [self.root / name for name in {*known, *names}])

    def _finish(self) -> None:
        for manifest, content, files in self._sealed:
            hashes = {}
            for target in sorted(set(files)):
                staged = self.stage / target.relative_to(self.root)
                found = staged if staged.is_file() else target
                if found.is_file():
                    hashes[target.relative_to(manifest.parent).as_posix()] = sha256_of_file(found)
            atomic_write_text(self.staged(manifest), sealed_text(content, hashes))
        changed = {}
        for staged in sorted(path for path in self.stage.rglob("*") if path.is_file()):
            name = staged.relative_to(self.stage).as_posix()
            target = self.root / name
            if staged.parent == self.stage and (staged.name.startswith(".") or _is_same(staged, target)):
                continue
            changed[name] = _synchronised_hash(staged)
        if not changed and not self._removed:
            return
        record = {_FILES: changed, "removed": sorted(self._removed)}
        _synchronise(self.stage)
        atomic_write_text(self.stage / _LIST, json.dumps(record, indent=1) + "\n")
        _synchronise(self.stage)
        _apply(self.root)


@contextmanager
def commit(root: Path) -> Iterator[Commit]:
    """Change files below a folder together when the block ends; nothing changes if it raises.

    One process at a time commits to a folder; others wait. An earlier commit that was cut short is finished first, and
    what one left that was never complete is swept.

    Args:
        root: Folder; made if absent.

    Raises:
        RunError: The folder cannot be written, or the disk is full; earlier files are untouched.
        ConfigError: ``.commit`` in it is not Focal's.
        TraceError: A file at the top of the folder is not what its manifest says.
    """
    with file_lock(root / LOCK, is_temporary=True):
        _recover(root)
        stage = root / _STAGE
        make_folder(stage)
        one = Commit(root)
        try:
            for path in root.iterdir():
                if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                    verify_file(path)  # what was edited is not sealed again
                    _link(path, stage / path.name)
            yield one
            one._finish()
        except OSError as error:
            raise RunError(
                f"{root}: could not be written ({error.strerror or error}); earlier files are untouched"
            ) from error
        except FocalError as error:
            # A sentence names the file that the user knows, not its copy.
            error.args = tuple(
                one.replace(f"{stage}{os.sep}", f"{root}{os.sep}") if isinstance(one, str) else one
                for one in error.args
            )
            raise
        finally:
            if not (stage / _LIST).is_file():
                remove_folder(stage)


def finish_commit(root: Path) -> None:
    """Finish a commit to a folder that was cut short, if there is one; waits for one that is under way.

    Raises:
        TraceError: There is one and the folder cannot be written, or what it staged is damaged.
    """
    if not (root / _STAGE / _LIST).is_file():
        return
    try:
        with file_lock(root / LOCK, is_temporary=True):
            _recover(root)
    except (RunError, OSError) as error:
        raise TraceError(
            f"{root}: a run was stopped while it put its files in place, and they cannot be put there now ({error}); "
            "make the folder writable and read it again"
        ) from error


def check_writable(root: Path) -> None:
    """Refuse, before anything runs, a folder that cannot be written; nothing is made in the attempt.

    Raises:
        RunError: It cannot be made or written, or the disk is full.
    """
    there = next(folder for folder in (root, *root.absolute().parents) if os.path.lexists(folder))
    try:
        with tempfile.TemporaryFile(dir=there, prefix=".focal-", suffix=".part") as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise RunError(
            f"{root}: cannot be written ({error.strerror or error}); nothing was run",
            about=("output", "output_path"),
        ) from error


def seal_folder(folder: Path, content: Mapping[str, Any], files: Iterable[Path]) -> Path:
    """Write ``manifest.json`` over files that are in place, and return its path.

    Args:
        folder: Folder of the files.
        content: JSON-like object.
        files: Below ``folder``.
    """
    hashes = {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in sorted(set(files))}
    atomic_write_text(folder / MANIFEST, sealed_text(content, hashes))
    return folder / MANIFEST


def sealed_text(content: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """Return a manifest as text: ``content``, SHA-256 by file, and the SHA-256 of the text with zeros in its place."""
    tree = {**content, _FILES: dict(files), _SEAL: _BLANK}
    text = json.dumps(tree, indent=1) + "\n"
    before, blank, after = text.rpartition(_BLANK)
    return before + sha256(text.encode("utf-8")).hexdigest() + after if blank else text


def sealed_files(manifest: Path) -> dict[str, str] | None:
    """Return the SHA-256 of each file that a manifest vouches for; None where it vouches for none, or is absent.

    Raises:
        TraceError: It is damaged or was edited.
    """
    if not manifest.is_file():
        return None
    text = read_bytes(manifest, TraceError, hint="restore it or remove it")
    tree = parse_line(text, str(manifest), TraceError, "restore it or remove it")
    if not {_FILES, _SEAL} & tree.keys():
        return None
    seal = tree.get(_SEAL)
    expected = seal.encode() if isinstance(seal, str) and seal.isascii() else b"?"
    blank = _BLANK.encode().join(text.rsplit(expected, 1))
    if sha256(blank).hexdigest().encode() != expected:
        raise TraceError(
            f"{manifest}: damaged or edited: its bytes are not those that '{_SEAL}' vouches for; restore it, or remove "
            "it to read what lies beside it unverified"
        )
    files = tree.get(_FILES)
    if not isinstance(files, dict):
        raise TraceError(f"{manifest}: '{_FILES}' must be an object, name to SHA-256")
    return {plain_path(name, str(manifest), TraceError): str(value) for name, value in files.items()}


def verify_file(path: Path) -> bool:
    """Check a file against the manifest that names it.

    Returns:
        Whether there is one; False for a file that nobody vouches for, such as a hand-made or a published one.

    Raises:
        TraceError: The file is not what the manifest says, the manifest is damaged, or a commit was cut short and
            cannot be finished.
    """
    if _STAGE in path.parts:
        return False  # it is being written
    for root in (path.parent, path.parent.parent, path.parent.parent.parent):
        finish_commit(root)
    for manifest in manifests_beside(path):
        files = sealed_files(manifest)
        if files is None or path.name not in files:
            continue
        try:
            found = sha256_of_file(path)
        except OSError:
            return True  # whoever reads it says so
        if found != files[path.name]:
            raise TraceError(
                f"{path}: not the file that {manifest.name} vouches for (SHA-256 {found[:16]}, expected "
                f"{files[path.name][:16]}): edited, damaged, or of another run; remove it and run again, or remove "
                f"{manifest.name} to read what lies here unverified"
            )
        return True
    return False


def verify_set(manifest: Path) -> int:
    """Check every file that a manifest vouches for, and return how many they are; 0 where it vouches for none.

    Raises:
        TraceError: One is missing or is not what the manifest says.
    """
    files = sealed_files(manifest) or {}
    for name, expected in files.items():
        path = manifest.parent / name
        if not path.is_file():
            raise TraceError(
                f"{path}: missing, though {manifest.name} names it; the set is not whole, run again"
            )
        if (found := sha256_of_file(path)) != expected:
            raise TraceError(
                f"{path}: not the file that {manifest.name} vouches for (SHA-256 {found[:16]}, expected "
                f"{expected[:16]})"
            )
    return len(files)


def verify_folder(folder: Path) -> tuple[int, list[Path]]:
    """Check every set of files below a folder.

    Returns:
        How many files manifests vouch for, and the files that nobody vouches for; hidden ones are left out.

    Raises:
        TraceError: As `verify_set`.
    """
    finish_commit(folder)
    named: set[Path] = set()
    others = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if (path.name == MANIFEST or path.name.endswith(MANIFEST_SUFFIX)) and verify_set(path):
            named |= {path, *(path.parent / name for name in sealed_files(path) or {})}
            continue
        others.append(path)
    return len(named), [path for path in others if path not in named]


def manifests_beside(path: Path) -> Iterator[Path]:
    """Yield the manifests that may name a file, itself excepted, the nearest first."""
    name = path.name
    if name.endswith(MANIFEST_SUFFIX) or name == MANIFEST:
        return
    stops = [place for place, letter in enumerate(name) if letter == "." and place]
    names = [name[:stop] + MANIFEST_SUFFIX for stop in reversed(stops)]
    yield from (path.with_name(one) for one in (*names, MANIFEST, ROOT_MANIFEST))


def _recover(root: Path) -> None:
    if (root / _STAGE / _LIST).is_file():
        _apply(root)
    remove_folder(root / _STAGE)


def _apply(root: Path) -> None:
    """Rename what ``commit.json`` lists, manifests last; may be cut short and called again."""
    stage = root / _STAGE
    record = _read_record(root)
    names = sorted(record[_FILES], key=lambda name: (name.endswith(MANIFEST), name))
    folders = {root}
    for name in names:
        staged, target = stage / name, root / name
        if not staged.is_file():
            continue  # renamed before
        if sha256_of_file(staged) != record[_FILES][name]:
            raise TraceError(f"{staged}: damaged before it was put in place; remove {stage} and run again")
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        folders.add(target.parent)
    for name in record["removed"]:
        (root / name).unlink(missing_ok=True)
    for folder in folders:
        _synchronise(folder)
    (stage / _LIST).unlink()
    remove_folder(stage)


def _read_record(root: Path) -> dict[str, Any]:
    """Return the list of a commit, none of whose names lead out of ``root``: the folder may be a stranger's."""
    path = root / _STAGE / _LIST
    hint = f"remove {root / _STAGE}"
    record = read_json(path, TraceError, hint)
    files, removed = record.get(_FILES), record.get("removed")
    if not isinstance(files, dict) or not isinstance(removed, list):
        raise TraceError(f"{path}: expected an object '{_FILES}' and a list 'removed'; {hint}")
    for name in (*files, *removed):
        check_inside(root, root / plain_path(str(name), str(path), TraceError))
    return record


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def _is_same(staged: Path, target: Path) -> bool:
    if not target.is_file():
        return False
    return staged.samefile(target) or (
        staged.stat().st_size == target.stat().st_size and sha256_of_file(staged) == sha256_of_file(target)
    )


def _synchronised_hash(path: Path) -> str:
    with path.open("rb") as written:
        os.fsync(written.fileno())
    return sha256_of_file(path)


def _synchronise(folder: Path) -> None:
    """Let renames in a folder survive a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove temporary files that killed writers left in a folder, where nobody else is writing to it now."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)
