"""Does a plain name always stay in its folder, and does Focal remove only what it has made?"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from focal_common.commit import commit
from focal_common.errors import ConfigError, RunError
from focal_common.places import (
    MARKER,
    as_plain_name,
    check_inside,
    check_removable,
    make_folder,
    plain_name,
    plain_path,
    published_root,
    remove_folder,
    scratch_folder,
)
from focal_traces.tables.rows import upsert_row

ROOT = Path(__file__).parents[3]
PRODUCT = ("focal", "common", "traces", "algorithm", "simulator", "evaluation_scripts")
TEXTS = st.one_of(st.text(max_size=12), st.text("ab./\\-:=~ \n\0\u202e", max_size=8))


def accepted(text: str) -> bool:
    try:
        return plain_name(text, "here") == text
    except ConfigError:
        return False


@given(TEXTS)
@example("..")
@example("C:x")
@example("a\u2028b")
def test_an_accepted_name_is_one_file_in_its_folder_and_one_line_of_a_table(text: str) -> None:
    if not accepted(text):
        return
    place = Path("/base") / text
    assert place.parent == Path("/base")
    assert place.name == text
    assert Path("/base", text, "x").parts == ("/", "base", text, "x")
    assert not re.search(r'[\x00-\x1f\x7f/\\:*?"<>|]', text)
    assert text[0] not in ".=+@ "
    assert text[-1] not in ". "
    assert not text.startswith("-") or text[1].isdecimal()
    assert len(text.encode()) <= 64
    assert text.splitlines() == [text]


@given(TEXTS.filter(bool))
def test_every_file_name_has_a_plain_name(text: str) -> None:
    name = as_plain_name(text)
    assert plain_path(name, "here") == name
    assert "/" not in name
    if accepted(text):
        assert name == text


@pytest.mark.parametrize(
    "name",
    [
        *("focus_main", "1x2x2", "-1", "4096", "2x2", "qwen2.5-vl", "shapes-video", "a+b", "max 0.5", "of 3"),
        *("(all)", "Été", "照片", "a,b", "x" * 64, "photographs", "mme_perception", "~", "{m_tile}"),
    ],
)
def test_ordinary_names_pass(name: str) -> None:
    assert plain_name(name, "here") == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        (".", "starts with '.'"),
        ("..", "starts with '.'"),
        (".hidden", "starts with '.'"),
        ("../x", "holds '/'"),
        ("/etc", "holds '/'"),
        ("a/b", "holds '/'"),
        ("a\\b", "holds '\\\\'"),
        ("C:x", "holds ':'"),
        ("a\0b", "cannot be printed"),
        ("a\nb", "cannot be printed"),
        ("a\u202eb", "cannot be printed"),
        ("\udcff", "cannot be printed"),
        ("-rf", "starts with '-'"),
        ("=1+1", "starts with '='"),
        ("@x", "starts with '@'"),
        (" x", "starts with ' '"),
        ("x ", "ends with ' '"),
        ("x.", "ends with '.'"),
        ("é" * 33, "longer than 64 bytes"),
    ],
)
def test_a_refusal_names_place_text_and_fault(name: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plain_name(name, "file.yaml: field 'x'")
    sentence = str(caught.value)
    assert sentence.startswith("file.yaml: field 'x': ")
    assert fault in sentence
    assert "expected a plain name" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("name", ["a/../b", "/a", "a/", "a//b", "a/./b", "", "a/" + "b" * 254])
def test_a_path_of_plain_names_has_no_other_parts(name: str) -> None:
    with pytest.raises(ConfigError):
        plain_path(name, "here")
    assert plain_path("llava_vid/videomme", "here") == "llava_vid/videomme"


def filled(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "precious.txt").write_text("x")
    (folder / "precious.txt").write_text("x")
    return folder


def test_only_a_folder_with_the_marker_is_removed(tmp_path: Path) -> None:
    strange = filled(tmp_path / "strange")
    for act in (check_removable, make_folder, remove_folder):
        with pytest.raises(ConfigError, match="remove it by hand or choose another output folder"):
            act(strange)
    assert sorted(path.name for path in strange.rglob("*")) == ["inner", "precious.txt", "precious.txt"]
    own = tmp_path / "a" / "own"
    make_folder(own)
    (own / "inner").mkdir()
    (own / "inner" / "file").write_text("x")
    (own / "file").write_text("x")
    make_folder(own)
    remove_folder(own)
    assert not own.exists()
    remove_folder(own)  # nothing there: nothing to do
    empty = tmp_path / "empty"
    empty.mkdir()
    remove_folder(empty)
    assert not empty.exists()


def test_a_link_is_neither_removed_nor_followed(tmp_path: Path) -> None:
    victim = filled(tmp_path / "victim")
    (victim / MARKER).write_text("planted")
    link = tmp_path / "link"
    link.symlink_to(victim, target_is_directory=True)
    for act in (make_folder, remove_folder):
        with pytest.raises(ConfigError, match="expected a folder made by Focal"):
            act(link)
    own = tmp_path / "own"
    make_folder(own)
    (own / "link").symlink_to(victim, target_is_directory=True)
    remove_folder(own)
    assert (victim / "inner" / "precious.txt").is_file()


def test_what_a_killed_removal_leaves_can_be_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    make_folder(own)
    for number in range(3):
        (own / f"{number}").write_text("x")
    real, removed = Path.unlink, []

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if len(removed) == 2:
            raise PermissionError(13, "Permission denied")
        removed.append(path)
        real(path, missing_ok=missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        with pytest.raises(RunError, match="could not be removed"):
            remove_folder(own)
    assert (own / MARKER).is_file()
    remove_folder(own)
    assert not own.exists()


def test_a_scratch_folder_ends_as_its_target_or_not_at_all(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "made") as work:
        assert not any(work.iterdir())
        (work / "file").write_text("x")
        work.rename(tmp_path / "made")
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "file"]
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path / "other") as work:
        (work / "file").write_text(str(1 // 0))
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_not(tmp_path: Path) -> None:
    base, outside = tmp_path / "base", tmp_path / "outside"
    (base / "real").mkdir(parents=True)
    outside.mkdir()
    (base / "stays").symlink_to(base / "real")
    (base / "leads").symlink_to(outside)
    check_inside(base, base / "stays" / "new" / "place")
    check_inside(tmp_path / "absent", tmp_path / "absent" / "place")
    with pytest.raises(ConfigError, match=r"a symbolic link leads to .*outside"):
        check_inside(base, base / "leads" / "new")
    (tmp_path / "alias").symlink_to(base)
    check_inside(tmp_path / "alias", tmp_path / "alias" / "real")


def removals(path: Path) -> list[str]:
    """Names in a file that remove folders."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = (getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(tree))
    return [name for name in names if name in ("rmtree", "rmdir", "removedirs")]


def test_folders_are_removed_in_one_place_only() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        if removals(path)
    }
    assert found == {"common/focal_common/places.py"}
    scripts = [*ROOT.glob("*.sh"), *(ROOT / "scripts").glob("*.sh"), ROOT / "Makefile"]
    for script in scripts:
        lines = [
            line
            for line in script.read_text(encoding="utf-8").splitlines()
            if re.search(r"\brm\s+-\w*r", line)
        ]
        assert all("echo" in line for line in lines), script  # advice is not removal


def _add_a_row(folder: Path) -> None:
    upsert_row(folder / "meta_data.csv", ("Model",), {"Model": "m"}, 1)


def _hold(folder: Path) -> None:
    with commit(folder):
        pass


@pytest.mark.parametrize(("name", "lock"), [(".meta_data.csv.lock", _add_a_row), (".focal.lock", _hold)])
def test_a_lock_file_that_is_a_link_is_refused(
    tmp_path: Path, name: str, lock: Callable[[Path], None]
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / name).symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="cannot be written"):
        lock(tmp_path / "inside")
    assert not (tmp_path / "outside").exists()


def test_the_published_data_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (published_root() / "claims.csv").is_file()
    own = tmp_path / "example_output" / "published"
    own.mkdir(parents=True)
    assert published_root() == Path("example_output/published")


def test_the_wheel_carries_every_published_file() -> None:
    root = Path(__file__).parents[3]
    taken = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "data-files"
    ]
    found = {path for globs in taken.values() for glob in globs for path in root.glob(glob)}
    published = root / "example_output" / "published"
    assert {path for path in published.rglob("*") if path.is_file()} <= found
    assert set(taken) == {
        f"share/focal/{path.relative_to(root)}"
        for path in (published, *(p for p in published.iterdir() if p.is_dir()))
    }
