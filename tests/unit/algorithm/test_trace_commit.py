"""Is a trace all old or all new however its writer dies, and is every flipped bit and every mixture refused?"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from focal.commands.running import run_command
from focal.commands.trace import app
from focal_algorithm.tracing.runner import RunSettings, finish_gathered, gather, run
from focal_common.commit import verify_folder
from focal_common.errors import TraceError
from focal_traces.files.store import open_masks, open_trace
from focal_traces.frames.file import read_frames
from focal_traces.methods import method_tables
from focal_traces.records.file import read_records
from focal_traces.root.root import TraceRoot
from focal_traces.tables.table import WORKLOADS
from kill_support import killed_at_every_change

STEM = "llava_onevision_photographs"
SETTINGS = RunSettings(
    output=Path(),
    size="tiny",
    samples=1,
    frames=2,
    new_tokens=1,
    keep_masks=True,
    keep_frames=True,
    method="focus",
)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("roots")
    for name, seed in (("old", 0), ("new", 1)):
        run(replace(SETTINGS, output=folder / name, seed=seed))
    return {name: folder / name for name in ("old", "new")}


def data(root: Path) -> dict[str, bytes]:
    """Everything but manifests, which hold a clock, and what is hidden."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "manifest" not in path.name and "/." not in f"/{path.relative_to(root)}"
    }


def read_everything(root: Path) -> None:
    """Open every file as its reader does."""
    folder = root / "focus_main"
    TraceRoot.open(root).workload("llava_onevision", "photographs")
    for table in method_tables():
        if (root / table.file).is_file():
            table.read(root / table.file)
    open_trace(folder / f"{STEM}.counts.parquet")
    open_masks(folder / f"{STEM}.masks.pth")
    read_records(folder / f"{STEM}.records.parquet")
    read_frames(folder / f"{STEM}.frames.zip")
    verify_folder(root)


@pytest.mark.parametrize(
    "is_sealed", [True, False], ids=["over a sealed trace", "over one without a manifest"]
)
def test_killed_at_every_write_over_an_older_trace_it_is_never_a_mixed_set(
    roots: dict[str, Path], tmp_path: Path, is_sealed: bool
) -> None:
    root = tmp_path / "root"
    done = gather(replace(SETTINGS, output=root, seed=1))
    old, new = data(roots["old"]), data(roots["new"])
    assert {name: old[name] != new[name] for name in old}["meta_data.csv"] is False  # the same row
    seen = set()

    def prepare() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(roots["old"], root)
        if not is_sealed:
            for path in root.rglob("*manifest.json"):
                path.unlink()

    for _ in killed_at_every_change(lambda: finish_gathered(done), prepare):
        read_everything(root)
        seen.add("new" if data(root) == new else "old")
        assert data(root) in (old, new)
    assert seen == {"old", "new"}


def files_of(root: Path) -> Iterator[Path]:
    yield from (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith("."))


def test_a_thousand_flipped_bits_are_all_refused(roots: dict[str, Path], tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(roots["old"], root)
    read_everything(root)
    files = list(files_of(root))
    assert len({path.suffix for path in files}) >= 5
    chance, accepted = random.Random(22), []
    for number in range(1000):
        path = files[number % len(files)]
        whole = path.read_bytes()
        bit = chance.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        try:
            verify_folder(root)
            accepted.append((path.name, bit))
        except TraceError:
            pass
        path.write_bytes(whole)
    assert not accepted
    read_everything(root)


def test_files_of_two_runs_are_no_trace(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    shutil.copytree(roots["old"], root)
    counts, other = (one / "focus_main" / f"{STEM}.counts.parquet" for one in (root, roots["new"]))
    shutil.copyfile(other, counts)
    with pytest.raises(TraceError, match=f"not the file that {STEM}.manifest.json vouches for"):
        open_trace(counts)
    # Its neighbours are whole, but not of one set with it.
    assert run_command(app, ["validate", str(counts.with_name(f"{STEM}.records.parquet"))]) == 2
    assert "counts.parquet: not the file" in capsys.readouterr().err
    table = root / WORKLOADS.file
    table.write_text(table.read_text().replace("photographs", "videomme"))
    with pytest.raises(TraceError, match=r"not the file that root\.manifest\.json vouches for"):
        TraceRoot.open(root)


def test_what_has_no_manifest_is_read_and_called_unverified(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "root"
    shutil.copytree(roots["old"], root)
    counts = root / "focus_main" / f"{STEM}.counts.parquet"
    assert run_command(app, ["validate", "--strict", str(counts), str(root)]) == 0
    assert "unverified" not in capsys.readouterr().out
    for path in root.rglob("*manifest.json"):
        path.unlink()
    open_trace(counts)
    assert run_command(app, ["validate", str(counts), str(root)]) == 0
    said = capsys.readouterr().out
    assert "unverified: no manifest names it" in said
    assert f"unverified {root}: no manifest names any of its files; none was read" in said
    assert "unverified: " + str(root / "meta_data.csv") in said
    for place in (counts, root):
        assert run_command(app, ["validate", "--strict", str(place)]) == 1
        assert "--strict: not everything is named by a manifest" in capsys.readouterr().err


def test_a_folder_without_files_is_not_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(app, ["validate", str(tmp_path)]) == 2
    assert "holds no files" in capsys.readouterr().err
