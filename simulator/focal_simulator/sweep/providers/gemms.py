"""Work without a trace: one list of GEMMs, or one configuration with numbers of tokens, for all points of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import NonNegativeInt, PositiveInt

from focal_common.config import StrictModel, validated
from focal_common.errors import ConfigError
from focal_common.files import sha256_of_file
from focal_common.provenance import content_hash
from focal_simulator.results.work import given_workload
from focal_simulator.sweep.providers.base import ProviderContext, Traced, TraceProvider
from focal_simulator.whole_model.given import Prompt, is_listed


class GemmOptions(StrictModel):
    """Options of the provider ``gemms``; `focal_simulator.whole_model.given.Prompt` says what each means."""

    batch: PositiveInt = 1
    tokens: NonNegativeInt = 0
    pictures: NonNegativeInt = 0
    visual_tokens: NonNegativeInt | None = None
    patch_rows: PositiveInt | None = None
    patch_columns: PositiveInt | None = None
    generated_tokens: NonNegativeInt = 0


class GemmLists(TraceProvider):
    """Reads the list that stands in place of a trace root."""

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        if context.root is None or not is_listed(context.root):
            raise ConfigError(
                f"traces.root is '{context.root}', expected a CSV file of GEMMs or a config.json for provider gemms",
                about=("trace",),
            )
        if context.workloads:
            raise ConfigError(
                "workloads choose among traces, and a list of GEMMs has none; leave the field out"
            )
        self._prompt = Prompt(**validated(GemmOptions, dict(context.options), "traces.options").model_dump())
        # Read before anything runs.
        self._traced = Traced((given_workload(context.root, self._prompt),))

    def parameters(self) -> Sequence[str]:
        """Return nothing: no method ran."""
        return ()

    @cached_property
    def _sha256(self) -> str:
        assert self.context.root is not None  # noqa: S101  (refused above)
        return sha256_of_file(self.context.root)

    def fingerprint(self) -> str:
        """Return a hash of the file and of the lengths it does not tell."""
        return content_hash({"file": self._sha256, "prompt": vars(self._prompt)})

    def traced(self, parameters: Mapping[str, Any]) -> Traced:
        """Return the list."""
        return self._traced
