"""One run of every published experiment, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from focal_evaluation.claims.claims import Comparison, compare, read_claims
from focal_evaluation.claims.result_rows import PublishedRows, read_published_rows
from focal_evaluation.claims.results import open_results
from focal_evaluation.results.published_runs import run_published
from published_support import ROOT


@pytest.fixture(scope="session")
def result_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run everything once."""
    folder = tmp_path_factory.mktemp("published")
    run_published(ROOT, folder)
    return folder


@pytest.fixture(scope="session")
def results(result_folder: Path) -> PublishedRows:
    """Read the rows of that run."""
    return read_published_rows(result_folder)


@pytest.fixture(scope="session")
def compared(result_folder: Path) -> list[Comparison]:
    """Put each claim beside the number of that run."""
    return compare(read_claims(ROOT), open_results(result_folder, ROOT, "parity").numbers)
