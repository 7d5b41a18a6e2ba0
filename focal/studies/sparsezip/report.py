"""Summary and pictures from the tables of a run."""

from __future__ import annotations

from pathlib import Path

from focal.studies.sparsezip.accuracies import read_by
from focal.studies.sparsezip.figures import write_figures
from focal.studies.sparsezip.metrics.yes_no import PARSERS
from focal.studies.sparsezip.results import read_results
from focal.studies.sparsezip.summary import write_summary
from focal_common.errors import ConfigError, near_matches

__all__ = ["write_report"]


def write_report(folder: Path, parser: str = "repo") -> tuple[list[Path], int]:
    """Write ``summary_final.csv`` and the pictures.

    Args:
        folder: Of the tables.
        parser: ``repo`` or ``official``.

    Returns:
        What was written, and how many configurations failed.

    Raises:
        ConfigError: No such parser.
        TraceError: The folder is not whole.
    """
    if parser not in PARSERS:
        raise ConfigError(f"--parser '{parser}'; {near_matches(parser, PARSERS)}")
    results = read_by(read_results(folder), parser)
    return [write_summary(results), *write_figures(results)], len(results.failed)
