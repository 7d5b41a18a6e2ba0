"""What studies, searches and reports ask of a method; every question has an answer that suits a new method."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from focal_traces.header.schema import DecoderGeometry, SampleHeader
from focal_traces.masks.pointers import PointerRule
from focal_traces.records.records import Record

if TYPE_CHECKING:
    import torch

    from focal_algorithm.prompts.layout import SampleLayout


@dataclass(frozen=True)
class BudgetParameter:
    """The one number that `focal_algorithm.budgets.budget.solve` tunes until a method meets a budget.

    Attributes:
        name: The name that a user reads, such as ``schedule scale``.
        start: Its value at the parameters in force.
        least: Smallest value worth trying; the method may refuse it.
        most: Largest value, likewise.
        rises: Whether the cost rises with the number, if only on the whole: it may turn back on the way.
        parameters: Hyper-parameters at a value, over those in force.
        is_integer: Whether only whole numbers count.
        is_logarithmic: Whether halving is by ratio rather than by difference; ``least`` is then above 0.
        shares: For a further parameter: whether it and the first are to save the same factor each, so that both act.
            Otherwise the first stays at its end.
    """

    name: str
    start: float
    least: float
    most: float
    rises: bool
    parameters: Callable[[float], dict[str, Any]]
    is_integer: bool = False
    is_logarithmic: bool = False
    shares: bool = False


@dataclass(frozen=True)
class MethodStudy:
    """Study support of one method class; a method that needs other answers gives an instance of a subclass.

    A study holds no state: each question that depends on parameters is given the method.

    Attributes:
        keep: Name of the field that states the share of visual tokens kept, in (0, 1]. Where the method has such a
            field, it is the default budget parameter, and 1.0 is the default setting without effect.
        no_effect: Hyper-parameters at which the method changes nothing, to the last bit of the logits; empty to
            follow ``keep``.
        budget_fields: Hyper-parameters that state a budget together. Where a user sets one of them, `fitted` values
            of the others are left out: a budget that is half ours would be neither.
        trace_folder: Folder of the method's traces below a trace root; empty for the method's name.
        ignores_question: Whether what becomes of the visual tokens never depends on the text after them.
        drop: Name of the field that states the share of visual tokens dropped, in [0, 1], where that is how the
            method was published.
    """

    keep: str = "keep"
    drop: str = ""
    no_effect: Mapping[str, Any] = field(default_factory=dict)
    budget_fields: frozenset[str] = frozenset()
    trace_folder: str = ""
    ignores_question: bool = False

    # --- parameters ---------------------------------------------------------------------------------------

    def published(self, model: str, dataset: str) -> dict[str, Any]:
        """Return the published hyper-parameters for a (model, data set) pair; empty if there are none."""
        return {}

    def fitted(self, geometry: DecoderGeometry) -> dict[str, Any]:
        """Return defaults that must follow the decoder or the prompt; empty where the plain defaults fit.

        `focal_algorithm.methods.build.fitted_parameters` says which of them stand beside a user's own.
        """
        return {}

    def without_effect(self, method: Any) -> dict[str, Any]:
        """Return hyper-parameters at which the method changes nothing; empty if none are known.

        Args:
            method: An instance, or the class.
        """
        if self.no_effect:
            return dict(self.no_effect)
        return {self.keep: 1.0} if self._has(self.keep, method) else {}

    def recorded_only(self, method: Any) -> frozenset[str]:
        """Return the fields that change what a trace counts and no answer."""
        return frozenset({"vector_size", "m_tile"})

    def reads_question(self, method: Any) -> bool:
        """Return whether what becomes of the visual tokens may depend on the text after them.

        Where it does not, one prefill of a picture serves many questions about it.
        """
        return not self.ignores_question

    # --- budgets ------------------------------------------------------------------------------------------

    def for_tokens(self, method: Any, tokens: int) -> dict[str, Any]:
        """Return the hyper-parameters of the published setting for so many visual tokens; empty if there is none.

        The default sets ``keep_tokens``, where the method has such a field.

        Args:
            method: The class.
            tokens: At least 1. Whether the prompt has so many is checked when it is known.
        """
        return {"keep_tokens": tokens} if self._has("keep_tokens", method) else {}

    def for_share(self, method: Any, share: float) -> dict[str, Any]:
        """Return the hyper-parameters of the published setting for a share of the visual tokens, likewise.

        The default sets the field named by ``keep`` or ``drop``.
        """
        if self.drop:
            return {self.drop: 1 - share}
        return {self.keep: share} if self._has(self.keep, method) else {}

    def budget(self, method: Any, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter | None:
        """Return the number that sets the method's budget on a prompt; None where there is none.

        Args:
            method: With the parameters in force.
            geometry: Decoder shape.
            sample: Layout of a prompt that ran with these parameters.
        """
        if not self._has(self.keep, method):
            return None
        least = 1 / max(1, sample.visual_tokens)
        return BudgetParameter(
            self.keep,
            getattr(method, self.keep),
            least,
            1.0,
            rises=True,
            parameters=lambda share: {self.keep: share},
        )

    def further_budgets(
        self, method: Any, geometry: DecoderGeometry, sample: SampleHeader
    ) -> tuple[BudgetParameter, ...]:
        """Return numbers that reach budgets beyond those of `budget`, in the order in which to try them.

        Args:
            method: With the parameters at the end of the range of `budget`, on the side of the budget.
            geometry: Decoder shape.
            sample: As for `budget`.
        """
        return ()

    # --- traces and reports -------------------------------------------------------------------------------

    def folder(self, method: Any) -> str:
        """Return the folder of the method's traces below a trace root."""
        return self.trace_folder or str(method.name)

    def mode(self, method: Any) -> Literal["compatible", "strict"]:
        """Return what the trace header calls the rules in force: the method's field ``mode`` if it has one."""
        return getattr(method, "mode", "compatible")

    def pointer_rule(self, method: Any, layout: SampleLayout) -> PointerRule:
        """Return what the ``winner`` codes of `focal_algorithm.methods.base.VectorMasks` mean."""
        return PointerRule((0,), 1)

    def records(self, method: Any, state: Any) -> Sequence[Record]:
        """Return what the method decided during a finished prefill, beside what every method's trace holds.

        Token counts, kept tokens and merge maps are recorded by the hooks already.
        """
        return ()

    def summary(self, method: Any, state: Any) -> dict[str, float]:
        """Return the figures by which the method's paper or artifact sums up one prefill; empty for none."""
        return {}

    def write_tables(
        self, root: Path, model: str, dataset: str, summaries: Sequence[Mapping[str, float]]
    ) -> dict[str, Path]:
        """Write the method's own tables of a trace root.

        Args:
            root: Trace root.
            model: Model family.
            dataset: Name under which results are filed.
            summaries: See `summary`; one per prefill with visual tokens.

        Returns:
            Files by role; empty for none.
        """
        return {}

    def published_axis(self, method: Any, varied: Collection[str]) -> tuple[str, str] | None:
        """Return how published tables of design points spell fields that vary: axis, and value here.

        Returns:
            None where they have no spelling of their own.
        """
        if set(varied) == {"m_tile"}:
            return "m_tile_size", str(method.m_tile if method.m_tile > 0 else -1)
        return None

    def run_notes(self, method: Any, device: torch.device) -> tuple[str, ...]:
        """Return sentences on how a run on this device is computed, such as the kernel in use; none by default."""
        return ()

    def _has(self, name: str, method: Any) -> bool:
        return any(one.name == name for one in fields(method))


class KeptTokensStudy(MethodStudy):
    """Study of a method that drops all but ``keep_tokens`` before one layer; those before it hold all tokens."""

    def budget(self, method: Any, geometry: DecoderGeometry, sample: SampleHeader) -> BudgetParameter:
        """Return the visual tokens left after the drop."""
        most = max(1, sample.visual_tokens)
        start = method.keep_tokens or round(most * (1 - getattr(method, self.drop)))
        return BudgetParameter(
            "keep_tokens",
            min(most, max(1, start)),
            1,
            most,
            rises=True,
            parameters=lambda count: {"keep_tokens": int(count)},
            is_integer=True,
        )


def paper_of(method: type) -> str:
    """Return the text after ``Paper:`` in a method's docstring, on one line; empty if there is none."""
    found = re.search(r"Paper:(.*?)(?=\n\s*\n|\n\s*(?:Deviations|Args):|\Z)", method.__doc__ or "", re.DOTALL)
    return " ".join(found[1].split()) if found else ""
