"""Do files change together or not at all, and is every edit of what a manifest names found?"""

from __future__ import annotations

import errno
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import focal_common.commit as commit_module
from focal_common.commit import (
    MANIFEST,
    check_writable,
    commit,
    finish_commit,
    seal_folder,
    sealed_files,
    sealed_text,
    verify_file,
    verify_set,
)
from focal_common.errors import RunError, TraceError
from focal_common.files import atomic_write_text
from kill_support import killed_at_every_change


def write(root: Path, word: str, is_sealed: bool = True) -> None:
    """Write three files and remove a fourth; the table keeps a row of others."""
    with commit(root) as one:
        table = one.stage / "table.csv"
        kept = table.read_text().splitlines()[:1] if table.is_file() else []
        atomic_write_text(table, "\n".join([*kept, word]) + "\n")
        for name in ("a", "b"):
            atomic_write_text(one.staged(root / "deep" / name), word)
        if word == "new":
            one.remove(root / "deep" / "c")
        else:
            atomic_write_text(one.staged(root / "deep" / "c"), word)
        if is_sealed:
            files = [root / "deep" / name for name in ("a", "b", "c")]
            one.seal(root / "deep" / MANIFEST, {"word": word}, files[: 2 if word == "new" else 3])


def state(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }


@pytest.mark.parametrize(
    "is_sealed", [True, False], ids=["over sealed files", "over files without a manifest"]
)
def test_killed_at_every_change_it_is_all_old_or_all_new(tmp_path: Path, is_sealed: bool) -> None:
    for word in ("old", "new"):
        (tmp_path / word).mkdir()
        write(tmp_path / word, "old", is_sealed)
    write(tmp_path / "new", "new")
    old, new = state(tmp_path / "old"), state(tmp_path / "new")
    root, seen = tmp_path / "root", []

    def prepare() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(tmp_path / "old", root)

    for _ in killed_at_every_change(lambda: write(root, "new"), prepare):
        try:
            verify_file(root / "deep" / "a")  # what a reader does
        except TraceError as error:
            pytest.fail(str(error))
        seen.append("new" if state(root) == new else "old")
        assert state(root) in (old, new)
        write(root, "new")
        assert state(root) == new
        assert not (root / ".commit").exists()
    assert seen == sorted(seen, reverse=True)  # old until the commit point, new after it
    assert {"old", "new"} == set(seen)


def test_what_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "old")
    before = state(tmp_path)

    def full(path: Path) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(commit_module, "_synchronised_hash", full)
    with pytest.raises(RunError, match=r"written \(No space left on device\); earlier files are untouched"):
        write(tmp_path, "new")
    assert state(tmp_path) == before
    assert not (tmp_path / ".commit").exists()


def test_a_cut_commit_in_a_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "old")
    with pytest.raises(KeyboardInterrupt):  # between the commit point and the renames
        _interrupted(tmp_path, monkeypatch)

    def read_only(path: Path, **options: object) -> object:
        raise RunError(f"{path.parent}: cannot be written (Read-only file system)")

    monkeypatch.setattr(commit_module, "file_lock", read_only)
    with pytest.raises(TraceError, match="was stopped while it put its files in place"):
        verify_file(tmp_path / "deep" / "a")
    monkeypatch.undo()
    finish_commit(tmp_path)
    assert set(state(tmp_path).values()) >= {"new"}
    assert verify_set(tmp_path / "deep" / MANIFEST) == 2


def _interrupted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(root: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "_apply", stop)
        write(root, "new")


def test_a_thousand_flipped_bits_and_a_swapped_file_are_found(tmp_path: Path) -> None:
    for word in ("old", "other"):
        (tmp_path / word).mkdir()
        write(tmp_path / word, word)
    folder = tmp_path / "old" / "deep"
    names = ["a", "b", "c", MANIFEST]
    whole = {name: (folder / name).read_bytes() for name in names}
    chance = random.Random(18)
    for _ in range(1000):
        name = chance.choice(names)
        bit = chance.randrange(8 * len(whole[name]))
        damaged = bytearray(whole[name])
        damaged[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(bytes(damaged))
        _refused(lambda: verify_set(folder / MANIFEST), f"{name}, bit {bit}")
        if name != MANIFEST:
            _refused(lambda place=folder / name: verify_file(place), f"{name}, bit {bit}")  # type: ignore[misc]
        (folder / name).write_bytes(whole[name])
    assert verify_set(folder / MANIFEST) == 3
    shutil.copyfile(tmp_path / "other" / "deep" / "a", folder / "a")
    _refused(lambda: verify_file(folder / "a"), "of another run")
    (folder / "a").unlink()
    with pytest.raises(TraceError, match=r"a: missing, though manifest\.json names it"):
        verify_set(folder / MANIFEST)


def _refused(check: Callable[[], object], what: str) -> None:
    try:
        check()
    except TraceError:
        return
    pytest.fail(f"accepted: {what}")


def test_what_no_manifest_names_is_unverified(tmp_path: Path) -> None:
    (tmp_path / "hand_made.csv").write_text("x\n")
    assert not verify_file(tmp_path / "hand_made.csv")
    (tmp_path / MANIFEST).write_text(json.dumps({"tables": {}}))  # as older versions left it
    assert not verify_file(tmp_path / "hand_made.csv")
    assert sealed_files(tmp_path / MANIFEST) is None
    seal_folder(tmp_path, {}, [])
    assert not verify_file(tmp_path / "hand_made.csv")
    seal_folder(tmp_path, {}, [tmp_path / "hand_made.csv"])
    assert verify_file(tmp_path / "hand_made.csv")


def test_the_manifest_nearest_to_a_file_vouches_for_it(tmp_path: Path) -> None:
    (tmp_path / "llava_1.5_pope.counts.parquet").write_text("counts")
    hashes = {"llava_1.5_pope.counts.parquet": "0" * 64}
    (tmp_path / "llava_1.5_pope.manifest.json").write_text(sealed_text({}, hashes))
    with pytest.raises(TraceError, match=r"not the file that llava_1\.5_pope\.manifest\.json vouches for"):
        verify_file(tmp_path / "llava_1.5_pope.counts.parquet")


def test_a_folder_that_cannot_be_written_is_refused_before_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/out: cannot be written .* nothing was run"):
        check_writable(tmp_path / "file" / "out")
    check_writable(tmp_path / "new")
    assert not (tmp_path / "new").exists()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(commit_module.os, "fsync", full)
    with pytest.raises(RunError, match="No space left"):
        check_writable(tmp_path / "new")
