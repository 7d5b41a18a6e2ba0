"""What `generate` knows and a forward does not: where the prompt ends, how often it was copied, what its pictures were.

While a method is attached, the model has a ``generate`` of its own that remembers this and calls the stock one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MethodType
from typing import Any, NoReturn

import torch
from torch import Tensor
from transformers import GenerationMixin

from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import mixes_tiles
from focal_common.errors import UnsupportedError

__all__ = ["GenerateCall", "refuse_copy", "watched_generate"]

PER_TOKEN = ("input_ids", "attention_mask", "position_ids", "token_type_ids", "mm_token_type_ids")


@dataclass
class GenerateCall:
    """One call of `generate`.

    Attributes:
        inputs: Keyword arguments for the forward.
        prompt_tokens: Columns of the ids it was given; None for embeddings.
        copies: Rows that each prompt becomes: beams, or sequences to return.
        layouts: Of its prompts, one per row, once the first forward was reached.
        prompt_ids: Ids of that forward, without drafts, axes (rows, tokens).
        tower: What the vision tower did with its pictures, which `generate` encodes once.
    """

    inputs: Mapping[str, Any]
    prompt_tokens: int | None
    copies: int
    layouts: Sequence[SampleLayout] | None = None
    prompt_ids: Tensor | None = None
    tower: Any = None

    def is_known(self, token_ids: Tensor) -> bool:
        """Return whether ids, axes (rows, tokens), are those of its prompts and tokens generated since."""
        known = self.prompt_ids
        return known is not None and torch.equal(token_ids[:, : known.shape[1]], known)

    def prompt_inputs(self, forward: Mapping[str, Any]) -> dict[str, Any]:
        """Return keyword arguments for the prompts alone, each once.

        Args:
            forward: Those of the first forward, which may hold copies and drafts of tokens to come.
        """
        told = {**forward, **{name: value for name, value in self.inputs.items() if name not in PER_TOKEN}}
        for name in PER_TOKEN:
            value = forward.get(name)
            if torch.is_tensor(value) and value.ndim > 1:
                rows = slice(None, None, self.copies if value.shape[-2] % self.copies == 0 else 1)
                told[name] = value[..., rows, : self.prompt_tokens]
        return told


@contextmanager
def watched_generate(model: Any, run: Callable[[GenerateCall, Callable[[], Any]], Any]) -> Iterator[None]:
    """Show each call of ``model.generate`` to ``run`` inside a ``with`` block.

    Args:
        model: The model.
        run: Given the call and what carries it out; returns what that returns.
    """
    stock = getattr(model, "generate", None)
    if stock is None:
        yield
        return
    own = vars(model).get("generate")

    def generate(self: Any, *args: Any, **settings: Any) -> Any:
        if self is not model:
            refuse_copy()
        return run(_call(model, args, settings), lambda: stock(*args, **settings))

    model.generate = MethodType(generate, model)  # a deep copy binds it to the copy
    try:
        yield
    finally:
        del model.generate
        if own is not None:
            model.generate = own


def refuse_copy() -> NoReturn:
    """Refuse a copy of a model that was made inside the block: it has the hooks, and not what they belong to.

    Raises:
        UnsupportedError: Always.
    """
    raise UnsupportedError(
        "this model is a copy of one, made while a method was attached to that; copy the model outside the 'with' "
        "block, and attach a method to the copy"
    )


def _call(model: Any, args: Sequence[Any], settings: Mapping[str, Any]) -> GenerateCall:
    """Read a call of `generate`, and refuse what cannot be exact.

    Raises:
        UnsupportedError: The prompt would come in pieces, or the model would be its own assistant.
    """
    configurations = [
        args[1] if len(args) > 1 else settings.get("generation_config"),
        getattr(model, "generation_config", None),
    ]

    def setting(name: str) -> Any:
        if name in settings:
            return settings[name]  # None, too, overrules a configuration
        found = (getattr(configuration, name, None) for configuration in configurations)
        return next((value for value in found if value), None)

    if setting("prefill_chunk_size"):
        raise UnsupportedError(
            "prefill_chunk_size splits the prompt, and a compression method needs it whole; leave it out"
        )
    if setting("assistant_early_exit") or settings.get("assistant_model") is model:
        raise UnsupportedError(
            "the model is to draft for itself (assistant_early_exit, or assistant_model=model), but its drafts would "
            "be compressed prefills of their own; give another model as assistant_model, or prompt_lookup_num_tokens"
        )
    given = args[0] if args else settings.get("inputs")
    token_ids = settings.get("input_ids") if given is None else given
    prompt_tokens = None
    if isinstance(token_ids, torch.Tensor) and token_ids.ndim == 2 and not token_ids.is_floating_point():
        prompt_tokens = token_ids.shape[1]
    copies = max(setting("num_beams") or 1, setting("num_return_sequences") or 1)
    if copies > 1:
        _require_whole_pictures(model, settings)
    return GenerateCall(settings, prompt_tokens, copies)


def _require_whole_pictures(model: Any, inputs: Mapping[str, Any]) -> None:
    """Refuse copies of a prompt whose tiles `generate` would repeat one by one, so that prompts get mixed pictures.

    Older versions do where the features of all prompts lie behind one another (InternVL, SmolVLM; not where sizes tell
    the tiles of each image) and the class has no way of its own of copying them.

    Raises:
        UnsupportedError: It would.
    """
    pixels, ids = inputs.get("pixel_values"), inputs.get("input_ids")
    if not mixes_tiles() or not torch.is_tensor(pixels) or not torch.is_tensor(ids):
        return
    is_stock = type(model)._expand_inputs_for_generation is GenerationMixin._expand_inputs_for_generation
    is_one_tensor = pixels.ndim >= 4 and inputs.get("image_sizes") is None
    if is_stock and is_one_tensor and pixels.shape[:-3].numel() != len(ids):
        raise UnsupportedError(
            f"{type(model).__name__}.generate of this transformers repeats the tiles of pictures one by one for beams "
            "and several sequences, which mixes them; leave out num_beams and num_return_sequences, or update "
            "transformers"
        )
