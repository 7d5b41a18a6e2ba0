"""Methods side by side on one model: accuracy and cost joined, one row a method."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from focal.inputs import Sample
from focal.loading import load_model, loaded_model
from focal.studies.arena.cells import Cell
from focal.studies.arena.inputs import traced_questions
from focal.studies.arena.jobs import answered
from focal.studies.arena.matching import MET, REFUSED, Setting, settings_of
from focal.studies.arena.plan import DENSE, Candidate, Case, ModelFolder, candidate
from focal.studies.arena.pool import one_thread
from focal.studies.arena.rows import arena_rows
from focal.studies.arena.table import arena_lines, table_cells
from focal_algorithm.evaluation.offline.evaluator import Evaluator
from focal_algorithm.evaluation.offline.questions import Asked, QuestionSet, load_questions
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import as_method
from focal_algorithm.prompts.media.media import MediaSample
from focal_common.errors import ConfigError
from focal_simulator.accelerators import ACCELERATORS

if TYPE_CHECKING:
    import pandas as pd

_OWN_SAMPLES = "samples"


class Comparison:
    """One row a method: what it answers, what it costs, and what the hardware makes of it.

    Attributes:
        rows: As ``arena.csv`` has them, with every accelerator; what is not known is None.
    """

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = list(rows)

    def frame(self) -> pd.DataFrame:
        """Return the comparison as a table, one row a method.

        Returns:
            ``method``, ``status`` (``ok``, ``nearest`` where a budget is out of reach, ``refused``) with ``reason``;
            ``accuracy`` with its 95 % interval, and minus dense; ``equivalent_tokens`` and MACs, means over the traced
            questions; ``accelerator``, the method's own or ``focus_sec_only``, with its ``area_mm2`` and with
            ``cycles``, ``energy_mj`` and ``energy_delay_mj_s`` simulated on it; ``speedup_over_dense`` and
            ``energy_over_dense`` are over the dense method on the dense array.
        """
        import pandas as pd

        return pd.DataFrame(arena_lines(self.rows))

    def __repr__(self) -> str:
        return f"<comparison of {', '.join(row['method'] for row in self.rows)}>"

    def _repr_html_(self) -> str:
        headings, lines = table_cells(arena_lines(self.rows))
        table = _html("th", headings) + "".join(_html("td", line) for line in lines)
        reasons = "".join(
            f"<li>{html.escape(row['method'])}: {html.escape(row['reason'])}</li>"
            for row in self.rows
            if row["reason"]
        )
        return f"<table>{table}</table>" + (f"<ul>{reasons}</ul>" if reasons else "")


def _html(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


@dataclass(frozen=True)
class _OwnPicture:
    """A user's picture in the place of a stored one."""

    sample: MediaSample

    def media(self) -> MediaSample:
        return self.sample


def compare_methods(
    model: Any,
    samples: str | Sequence[Sample],
    methods: Sequence[str | CompressionMethod],
    *,
    tokens: float | None = None,
    questions: int | None = None,
    traced: int = 8,
    seed: int = 0,
    simulate: bool = True,
) -> Comparison:
    """Ask a model the same questions under several methods, and simulate what they leave.

    Accuracy, budgets, costs and simulations are those of ``focal arena``. The dense model always takes part.

    Args:
        model: A model from `focal.load_model`, or a name that it takes.
        samples: Name of a procedural benchmark (see `focal.samples`), or questions of one's own. Questions about one
            picture share their ``sample_id`` and stand side by side.
        methods: Names, files such as ``mine.py``, or methods of one's own, registered or not.
        tokens: Budget that every method is set to, in equivalent visual tokens, layer mean over the traced prompts;
            None to take each method as it is.
        questions: First so many questions; None for all.
        traced: Questions, about different pictures, on which budgets are solved, counts recorded and hardware
            simulated.
        seed: Chooses them.
        simulate: Whether to simulate.

    Raises:
        ConfigError: An unknown name (with near matches), no question, or a budget that is no share of the dense one.
        UnsupportedError: The model cannot be asked this way; the sentence says what to do.
    """
    if isinstance(model, str):
        model, _ = load_model(model)
    evaluator = Evaluator(loaded_model(model), _questions(samples, questions))
    chosen = traced_questions(evaluator.questions, traced, seed)
    numbers = [one.number for one in evaluator.questions.asked]
    candidates = _candidates(methods)
    cells = []
    with one_thread():
        share = None if tokens is None else _share(evaluator, tokens, chosen)
        for entry in candidates:
            case = Case(ModelFolder(evaluator.loaded.name, ""), evaluator.questions.benchmark, entry.name)
            cell = Cell(case, _setting(evaluator, entry, share, chosen))
            if cell.setting.status != REFUSED:
                method = entry.build(evaluator, cell.setting.parameters)
                cell.take(answered(evaluator, method, numbers, frozenset(chosen), simulate))
            cell.finish()
            cells.append(cell)
    return Comparison(arena_rows(cells, tuple(ACCELERATORS) if simulate else ()))


def _candidates(methods: Sequence[str | CompressionMethod]) -> list[Candidate]:
    if isinstance(methods, str):
        raise ConfigError(f"methods: expected a list of methods, got the text '{methods}'")
    found = [
        candidate(one) if isinstance(one, str) else Candidate(one.name, one.name, own=as_method(one))
        for one in methods
    ]
    if DENSE not in [one.name for one in found]:
        found.insert(0, candidate(DENSE))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"methods: {', '.join(twice)} was given twice")
    return sorted(found, key=lambda one: one.name != DENSE)


def _setting(
    evaluator: Evaluator, chosen: Candidate, share: float | None, traced: tuple[int, ...]
) -> Setting:
    """Return a method at the budget, or as it is."""
    if share is None:
        return Setting(1.0, MET, "", "", 0.0, None)
    return settings_of(evaluator, chosen, (share,), "tokens", traced)[0]


def _share(evaluator: Evaluator, tokens: float, traced: tuple[int, ...]) -> float:
    """Return the budget as a share of what the dense model spends on the traced questions."""
    dense = settings_of(evaluator, candidate(DENSE), (), "tokens", traced)[0]
    if not 0 < tokens < dense.target:
        raise ConfigError(
            f"tokens: expected a budget above 0 and below the {dense.target:g} of dense, got {tokens:g}"
        )
    return tokens / dense.target


def _questions(samples: str | Sequence[Sample], limit: int | None) -> QuestionSet:
    if isinstance(samples, str):
        return load_questions(samples, limit)
    if not samples:
        raise ConfigError("samples: expected at least one question, got none")
    pictures: dict[str, _OwnPicture] = {}
    for one in samples:
        if not isinstance(one, Sample):
            raise ConfigError(f"samples: expected a benchmark or values of focal.Sample, got {one!r}")
        media = MediaSample(one.sample_id, one.pictures, one.is_video, "given as pixels")
        if pictures.setdefault(one.sample_id, _OwnPicture(media)).sample.frames != media.frames:
            raise ConfigError(
                f"samples: two questions about different pictures share the sample_id '{one.sample_id}'; give each "
                "picture an id of its own"
            )
    index = {name: number for number, name in enumerate(pictures)}
    asked = tuple(
        Asked(number, index[one.sample_id], one.kind, one.question, one.answer, one.choices)
        for number, one in enumerate(samples[:limit])
    )
    return QuestionSet(_OWN_SAMPLES, 0, tuple(pictures.values()), asked, {})  # type: ignore[arg-type]
