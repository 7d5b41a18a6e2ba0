"""A method attached to a stock model inside a ``with`` block, and what was recorded of its prefills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from focal.loading import NOWHERE, loaded_model, seed_of
from focal.recording import Recording
from focal.support import method_support
from focal.traces import Trace
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import Session, attach
from focal_algorithm.hooks.attach import unwrapped
from focal_algorithm.hooks.pixels import TowerPixels, watched_pixels
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import as_method
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.tracing.accuracy import idle_notes
from focal_algorithm.tracing.runner import method_of
from focal_algorithm.tracing.settings import RunSettings
from focal_common.errors import ConfigError, RunError, UnsupportedError
from focal_traces.frames.frames import SampleFrames
from focal_traces.header.schema import SampleHeader

__all__ = ["Run", "compress"]

_DATASET = "python"
_MOST_PICTURES = 8
"""Prefills whose pictures are kept, as ``focal trace`` keeps those of short runs."""


class Run:
    """A method attached to a model, with a record of every prefill so far.

    Attributes:
        model: The model.
        method: With the parameters in force.
        notes: Sentences on how the method was set.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        method: CompressionMethod,
        notes: Sequence[str],
        dataset: str,
        keep_masks: bool,
    ) -> None:
        self.model = loaded.model
        self.method = method
        self.notes = tuple(notes)
        self._loaded, self._dataset, self._keep_masks = loaded, dataset, keep_masks
        self._recorder = _PictureRecorder(loaded, method, keep_masks)
        self._session: Session | None = None

    def __len__(self) -> int:
        """Return the number of recorded prefills."""
        return len(self._recorder.samples)

    def __repr__(self) -> str:
        count = "1 prefill" if len(self) == 1 else f"{len(self)} prefills"
        return f"<focal run: {self.method.name} on {self._loaded.name}, {count} recorded>"

    @property
    def summaries(self) -> list[dict[str, float]]:
        """The method's own figures of each prefill; empty where it has none."""
        return [dict(sample.summary) for sample in self._recorder.samples]

    def positions(self, layer: int | None = None, *, of: str = "keys") -> Tensor:
        """Return which token of the prompt each place of a shortened tensor holds, for the last forward.

        ``output.logits[row, place]`` are the logits after token ``run.positions()[row, place]`` of ``input_ids[row]``;
        likewise ``run.positions(layer)`` for the keys, values and attention of a layer.

        Args:
            layer: Decoder layer, or index into ``hidden_states``; None for the logits and the last hidden state.
            of: ``keys``, or ``hidden_states`` for the tuple that ``output_hidden_states=True`` gives.

        Returns:
            Axes (batch, tokens), int64: columns of ``input_ids``, padding included; -1 for places that no token holds.
            In a cache, tokens generated since follow behind them.

        Raises:
            RunError: The block has ended, or there was no prefill in this thread.
            ConfigError: There is no such layer.
        """
        if self._session is None:
            raise RunError("the run has ended; expected a call inside its 'with' block")
        return self._session.positions(layer, of=of)

    def trace(self, *, dataset: str | None = None, sample_ids: Sequence[str] | None = None) -> Trace:
        """Return the trace of the prefills so far.

        Args:
            dataset: Name under which results are filed; that of `compress` if None.
            sample_ids: Names of the prefills; ``prompt 0``, ``prompt 1``, … if None.

        Raises:
            RunError: Nothing was recorded.
            ConfigError: The number of names is not that of the prefills.
        """
        recorder = self._recorder
        if not recorder.samples:
            raise RunError(
                "no prefill was recorded; call the model, or its generate, inside the 'with' block of focal.compress"
            )
        names = [f"prompt {index}" for index in range(len(self))] if sample_ids is None else list(sample_ids)
        if len(names) != len(self) or len(set(names)) != len(names):
            raise ConfigError(
                f"sample_ids: got {len(names)} names for {len(self)} prefills; expected one of its own for each"
            )
        samples = [
            replace(sample, header=_named(sample.header, name))
            for sample, name in zip(recorder.samples, names, strict=True)
        ]
        pictures = [
            replace(one, sample_id=name) if isinstance(one, SampleFrames) else None
            for one, name in zip(recorder.pictures, names, strict=True)
        ]
        trace = Recording(
            loaded=self._loaded,
            method=self.method,
            samples=tuple(samples),
            pictures=tuple(pictures) if any(pictures) else (),
            dataset=self._dataset if dataset is None else dataset,
            seed=seed_of(self.model),
            keep_masks=self._keep_masks,
        ).trace()
        why = dict.fromkeys(one for one in recorder.pictures if isinstance(one, str))
        notes = [
            *self.notes,
            *idle_notes(self.method, trace.counts),
            *(f"no pictures kept: {one}" for one in why),
            *(
                ["no masks kept: a prompt holds several pictures"]
                if self._keep_masks and not trace.masks
                else []
            ),
        ]
        return trace.with_notes(notes)


class _Block(AbstractContextManager[Run]):
    """What `compress` returns: only its ``with`` block gives the run."""

    def __init__(self, block: AbstractContextManager[Run]) -> None:
        self._block = block

    def __enter__(self) -> Run:
        return self._block.__enter__()

    def __exit__(self, *raised: Any) -> bool | None:
        return self._block.__exit__(*raised)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"focal.compress gives a run, with its '{name}', in a with block only: "
            "with focal.compress(model) as run: ..."
        )


def compress(
    model: Any,
    method: str | CompressionMethod = "focus",
    *,
    dataset: str = _DATASET,
    keep_masks: bool = True,
    **parameters: Any,
) -> AbstractContextManager[Run]:
    """Compress and record the prefills of a stock model inside a ``with`` block; afterwards it is as before.

    The family is found by ``model.config.model_type``, layouts are read from the inputs. `generate`, a forward and a
    transformers pipeline around the model work as they are, in batches of any size.

    Args:
        model: A transformers model in evaluation mode, from `load_model` or of one's own.
        method: A name of `focal.methods`, whose defaults are fitted to the model, or a method.
        dataset: Name under which results are filed; of a published one, published parameters are taken.
        keep_masks: Whether to keep which vectors were left out, beside their counts.
        **parameters: Hyper-parameters of a method given by name.

    Returns:
        A ``with`` block that gives the run, of which `Run.trace` returns the trace.

    Raises:
        ConfigError: No transformers model, an unknown method or parameter (with near matches).
        UnsupportedError: A model of no known family, one that is attached already, or a pair that cannot work.
    """
    return _Block(_attached(model, method, dataset, keep_masks, parameters))


@contextmanager
def _attached(
    model: Any,
    method: str | CompressionMethod,
    dataset: str,
    keep_masks: bool,
    parameters: Mapping[str, Any],
) -> Iterator[Run]:
    base = unwrapped(model)
    loaded = loaded_model(base)
    settings = RunSettings(output=NOWHERE, dataset=dataset)  # refuses a name that is none
    notes: list[str] = []
    if isinstance(method, str):
        settings = replace(settings, method=method, parameters=parameters)
        method, notes = method_of(settings, loaded)
        _require_support(method, loaded)
    elif parameters:
        raise ConfigError(
            f"{', '.join(parameters)}: parameters go with a method given by name; set those of yours where it is made"
        )
    else:
        method = as_method(method)
    run = Run(loaded, method, notes, settings.dataset_name, keep_masks)
    recorder = run._recorder
    with (
        watched_pixels(loaded.adapter, base) as pixels,
        torch.no_grad(),
        attach(model, loaded.adapter, method, recorder) as session,
    ):
        recorder.tower, run._session = pixels, session
        try:
            yield run
        finally:
            recorder.tower, run._session = "the run has ended", None


def _require_support(method: CompressionMethod, loaded: LoadedModel) -> None:
    """Try a method of ours on a tiny model of the family, so that a pair that cannot work is refused at once."""
    with torch.random.fork_rng(devices=()):
        refusal, _ = method_support(method, loaded.model.get_decoder().config.to_dict(), type(loaded.adapter))
    if refusal:
        raise UnsupportedError(refusal)


def _named(header: SampleHeader, name: str) -> SampleHeader:
    return header.model_copy(update={"sample_id": name})


class _PictureRecorder(Recorder):
    """Keeps the pictures of the first prefills beside what every recorder keeps.

    Attributes:
        pictures: Of each sample: pictures, why there are none, or None.
        tower: What the vision tower is given, or why that is not known.
    """

    def __init__(self, loaded: LoadedModel, method: CompressionMethod, keep_masks: bool) -> None:
        super().__init__(loaded.geometry, method, keep_masks)
        self.pictures: list[SampleFrames | str | None] = []
        self.tower: TowerPixels | str = ""

    def start(self) -> None:
        """Drop pictures that no prefill has taken."""
        if isinstance(self.tower, TowerPixels):
            self.tower.skip()

    def add(
        self, samples: Sequence[RecordedSample], layouts: Sequence[SampleLayout], token_ids: Sequence[Tensor]
    ) -> None:
        """Take the prefills of a finished batch, with their pictures."""
        pictures = self._pictures(samples, layouts, token_ids)
        with self._lock:
            self.samples += samples
            self.pictures += pictures

    def _pictures(
        self, samples: Sequence[RecordedSample], layouts: Sequence[SampleLayout], token_ids: Sequence[Tensor]
    ) -> list[SampleFrames | str | None]:
        if isinstance(self.tower, str):
            return [self.tower if one.header.visual_tokens else None for one in samples]
        if len(self.pictures) >= _MOST_PICTURES:
            self.tower.skip()
            return [f"only those of the first {_MOST_PICTURES} prefills are kept"] * len(samples)
        if not token_ids:
            return ["the prompt came as embeddings"] * len(samples)
        return self.tower.frames(layouts, token_ids, [""] * len(samples))
