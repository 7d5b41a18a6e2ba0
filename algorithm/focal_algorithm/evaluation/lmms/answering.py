"""One question about one picture or video, answered by a model with a method attached."""

from __future__ import annotations

from typing import Any

from focal_algorithm.checkpoints.loading import LoadedModel, load_model
from focal_algorithm.evaluation.lmms.options import ModelOptions
from focal_algorithm.methods.base import CompressionMethod
from focal_algorithm.methods.build import build_method, method_in_force
from focal_algorithm.prompts.media.media import MediaSample
from focal_algorithm.tracing.prompting import answer_of, build_prompt
from focal_common.errors import UnsupportedError

__all__ = ["Answerer", "generation_limits", "load"]

_DEFAULT_NEW_TOKENS = 16


def load(options: ModelOptions) -> LoadedModel:
    """Load the model of some options; see `load_model` for errors."""
    return load_model(
        options.model,
        size=options.size,
        seed=options.seed,
        dtype=options.dtype,
        attention=options.attention,
        device=options.device,
        is_offline=options.profile == "offline",
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        precision=options.precision,
    )


class Answerer:
    """A loaded model with its method; the method's parameters follow the data set where they were published.

    Args:
        options: Model and method.
        loaded: The model, where it is loaded already.
    """

    def __init__(self, options: ModelOptions, loaded: LoadedModel | None = None) -> None:
        self.options = options
        # Before the model is loaded, so that a slip of the pen answers at once.
        build_method(options.method, options.parameters)
        self.loaded = loaded or load(options)
        self._methods: dict[str, CompressionMethod] = {}

    def method(self, dataset: str) -> CompressionMethod:
        """Return the method for a data set: published parameters, else fitted defaults; own ones win."""
        if dataset not in self._methods:
            family, geometry = self.loaded.adapter.family, self.loaded.geometry
            options = self.options
            self._methods[dataset], _ = method_in_force(
                options.method, options.parameters, family, geometry, dataset
            )
        return self._methods[dataset]

    def answer(self, sample: MediaSample, question: str, dataset: str, new_tokens: int) -> str:
        """Return the greedy continuation.

        Args:
            sample: One image or video.
            question: Text after it.
            dataset: Name under which parameters may be published.
            new_tokens: Most tokens to generate.

        Raises:
            RunError: Out of memory.
            UnsupportedError: The family does not take such a picture.
        """
        prompt = build_prompt(self.loaded, sample, question)
        return answer_of(self.loaded, self.method(dataset), None, prompt, new_tokens)


def generation_limits(settings: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    """Return the most new tokens and the texts that end an answer, from ``generation_kwargs`` of a task.

    Raises:
        UnsupportedError: The task asks for sampling or beams; answers must be repeatable.
    """
    if settings.get("do_sample") or float(settings.get("temperature") or 0) > 0:
        raise UnsupportedError(f"generation_kwargs {settings}: sampling; expected greedy decoding")
    if int(settings.get("num_beams") or 1) != 1:
        raise UnsupportedError(f"generation_kwargs {settings}: beam search; expected greedy decoding")
    stops = settings.get("until") or ()
    ends = (stops,) if isinstance(stops, str) else tuple(stops)
    # lmms-eval puts the few-shot delimiter here; an empty or blank end would cut every answer.
    return int(settings.get("max_new_tokens") or _DEFAULT_NEW_TOKENS), tuple(
        end for end in ends if end.strip()
    )
