"""Is data of the Hub found where the Hub's libraries leave it, and nowhere else?"""

from __future__ import annotations

from pathlib import Path

import pytest

from focal_algorithm.evaluation.lmms.hub_tasks import (
    HUB_TASKS,
    HubData,
    from_snapshots,
    hub_home,
    require_cached,
)
from focal_common.errors import UnsupportedError

_VARIABLES = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "LMMS_EVAL_DATASETS_CACHE"),
    "XDG_CACHE_HOME",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of the Hub."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf"


def downloaded(home: Path, name: str, revision: str = "main") -> Path:
    """Lay out a cache as ``hf download`` does, without data, and return the folder of the snapshot."""
    folder = home / "hub" / f"datasets--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / revision).write_text("c0ffee")
    (folder / "snapshots" / "c0ffee" / "data").mkdir(parents=True)
    return folder / "snapshots" / "c0ffee"


def test_missing_data_is_named_with_what_fetches_it(home: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"'mme' needs .*lmms-lab-encoder/MME.*allow downloads"):
        require_cached(["shapes-pope", "mme"])
    with pytest.raises(
        UnsupportedError, match="hf download --repo-type dataset OpenGVLab/MVBench --revision video"
    ):
        require_cached(["mvbench"])


def test_an_empty_or_broken_download_is_no_data(home: Path) -> None:
    snapshot = downloaded(home, HUB_TASKS["mme"].data)
    with pytest.raises(UnsupportedError, match="'mme' needs"):
        require_cached(["mme"])
    (snapshot / "README.md").write_text("card")
    (snapshot / "data" / "gone.parquet").symlink_to(home / "blobs" / "removed")
    (snapshot / "data" / "cut.parquet").touch()
    with pytest.raises(UnsupportedError, match="'mme' needs"):
        require_cached(["mme"])
    (snapshot / "data" / "test.parquet").write_bytes(b"PAR1")
    require_cached(["shapes-pope", "mme"])


def test_the_revision_of_a_task_is_the_one_that_counts(home: Path) -> None:
    snapshot = downloaded(home, HUB_TASKS["mvbench"].data)
    (snapshot / "some.json").write_text("[]")
    with pytest.raises(UnsupportedError, match="'mvbench' needs"):
        require_cached(["mvbench"])
    (snapshot.parents[1] / "refs" / "video").write_text("c0ffee")
    require_cached(["mvbench"])


@pytest.mark.parametrize(
    ("task", "folder"),
    [
        ("vqav2", "lmms-lab-encoder___vq_av2/default/0.0.0/abc"),
        ("mmbench", "lmms-lab-encoder___mm_bench/en/0.0.0/abc"),
        ("mvbench", "OpenGVLab___mv_bench/moving_count/0.0.0/abc"),
    ],
)
def test_prepared_data_is_found_under_the_names_that_datasets_gives(
    task: str, folder: str, home: Path
) -> None:
    prepared = home / "datasets" / folder
    prepared.mkdir(parents=True)
    with pytest.raises(UnsupportedError, match="needs"):
        require_cached([task])
    (prepared / "dataset_info.json").write_text("{}")
    require_cached([task])


def test_another_configuration_is_not_the_data(home: Path) -> None:
    prepared = home / "datasets" / "lmms-lab-encoder___mm_bench" / "cn" / "0.0.0" / "abc"
    prepared.mkdir(parents=True)
    (prepared / "dataset_info.json").write_text("{}")
    with pytest.raises(UnsupportedError, match="'mmbench' needs"):
        require_cached(["mmbench"])


def test_folders_follow_the_variables_of_the_hub(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub_home() == home
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert hub_home() == tmp_path / "xdg" / "huggingface"
    (downloaded(hub_home(), "a/B") / "rows.csv").write_text("x\n1\n")
    assert HubData("a/B").is_here()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert not HubData("a/B").is_here()


def test_a_download_is_read_without_a_connection(home: Path) -> None:
    datasets = pytest.importorskip("datasets")
    snapshot = downloaded(home, "nobody/Some-Words")
    rows = datasets.Dataset.from_dict({"word": ["red", "green"]})
    rows.to_parquet(snapshot / "data" / "test-00000-of-00001.parquet")
    load = datasets.load_dataset
    named = {"path": "nobody/Some-Words", "name": None, "cache_dir": str(home / "datasets"), "token": True}
    with from_snapshots():
        assert datasets.load_dataset(**named)["test"]["word"] == ["red", "green"]
        (snapshot / "data" / "test-00000-of-00001.parquet").write_bytes(b"not parquet")
        with pytest.raises(OSError, match="nobody/Some-Words"):
            datasets.load_dataset(**named)
    assert datasets.load_dataset is load
