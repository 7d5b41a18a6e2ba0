"""Is a result file either old or new, never half, and does failure leave no litter?"""

import errno
import stat
from pathlib import Path

import pytest

from focal_common.errors import RunError
from focal_common.files import atomic_path, atomic_write_text, sha256_of_file


def test_a_full_disk_keeps_the_earlier_file_and_leaves_no_part(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    atomic_write_text(target, "old\n")

    def write_until_full() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ne")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match=r"r\.csv: could not be written \(No space left on device\)"):
        write_until_full()
    assert target.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["r.csv"]


def test_other_errors_pass_through_and_clean_up(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "x"):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()
    assert not list(tmp_path.iterdir())


def test_new_files_have_the_ordinary_mode(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_missing_folders_are_made_and_the_digest_is_of_the_content(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "deep" / "er" / "f", "abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_of_file(tmp_path / "deep" / "er" / "f") == expected
