"""Which prefill filled a key-value cache, and what its layers say of their length after tokens were dropped.

A cache outlives the forward that filled it: it is copied, repeated, cut and handed to a later forward, perhaps by
another thread. What was dropped is therefore known to the cache, not to the session that saw the last prefill.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from focal_common.errors import UnsupportedError

if TYPE_CHECKING:
    from focal_algorithm.hooks.prefill import Prefill

__all__ = [
    "Attachment",
    "ShortenedLayer",
    "bind_cache",
    "held_tokens",
    "prefill_of",
    "require_growing_cache",
    "unbind_cache",
]

_OWNER = "_focal_owner"


@dataclass(eq=False)
class Attachment:
    """One ``with`` block of `attach`; what it filled can be continued only inside it.

    Attributes:
        method: Name of the method.
        is_open: Whether the block has not ended.
    """

    method: str
    is_open: bool = True


@dataclass(frozen=True, eq=False)
class _Owner:
    """The prefill behind a cache. All copies of a cache share it."""

    prefill: Prefill | None
    attachment: Attachment | None

    def __deepcopy__(self, memo: Any) -> _Owner:
        return self

    def __reduce__(self) -> Any:
        return _Owner, (None, None)  # a cache read from a file belongs to no prefill


class ShortenedLayer(DynamicLayer):
    """Keys and values of fewer tokens than the model was shown.

    Layer 0 says how many tokens it was shown, as sliding-window layers of transformers do, because `generate` and
    loops of one's own take that number for the part of the ids that is in the cache. Deeper layers say what they hold.

    Attributes:
        rows: Row of the prefill behind each row, axes (batch), int64.
        notes: What the method noted of the tokens after the prompt, by number of the picture in it, axes (batch,
            tokens, width); they follow their tokens.
    """

    def __init__(
        self, layer: DynamicLayer, kept_tokens: int, missing_tokens: int, counts_missing: bool, owner: _Owner
    ) -> None:
        super().__init__()
        self.__dict__.update(layer.__dict__)
        self._kept_tokens, self._missing_tokens = kept_tokens, missing_tokens
        self._text_tokens = 0 if owner.prefill is None else owner.prefill.text_after
        self._counts_missing, self._owner = counts_missing, owner
        self.notes: dict[int, Tensor] = {}
        self.rows = torch.arange(len(self.keys), device=self.keys.device)

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> Any:
        """Append keys and values; refused after the method was detached, whose masks and positions they need."""
        attachment = self._owner.attachment
        if self._missing_tokens and (attachment is None or not attachment.is_open):
            raise UnsupportedError(
                f"{'the method' if attachment is None else attachment.method} dropped tokens from this cache, and is "
                "attached no longer; go on inside the 'with' block that filled it, or start with an empty cache"
            )
        if not self.is_initialized:  # since a reset
            self.rows = torch.arange(len(key_states), device=key_states.device)
        return super().update(key_states, value_states, *args, **kwargs)

    def get_seq_length(self, *args: Any) -> int:
        """Return the tokens shown (layer 0) or held (deeper layers)."""
        held = super().get_seq_length(*args)
        return held + self._missing_tokens if held and self._counts_missing else held

    def crop(self, *args: Any, **kwargs: Any) -> None:
        """Remove the last tokens: as many as asked for, or all after a number of tokens shown."""
        (tokens,) = (*args, *kwargs.values())
        held = super().get_seq_length()
        shown = held + self._missing_tokens
        removed = shown - tokens if tokens > 0 else -tokens
        if removed <= 0 or not held:
            return
        if removed >= shown:
            self.reset()
            return
        most = held - self._kept_tokens + self._text_tokens  # text after the pictures is never dropped
        if removed > most and self._missing_tokens:
            attachment = self._owner.attachment
            raise UnsupportedError(
                f"{'the method' if attachment is None else attachment.method} dropped tokens of the pictures, so the "
                f"last {removed} tokens cannot be cut from this cache; expected at most {most}, those after the "
                "pictures, or all; start a shorter prompt with an empty cache"
            )
        for name in ("keys", "values"):
            setattr(self, name, getattr(self, name)[..., :-removed, :])
        self.notes = {part: notes[:, :-removed] for part, notes in self.notes.items()}

    def note(self, part: int, notes: Tensor) -> None:
        """Append what the method noted of new tokens, axes (batch, new tokens, width)."""
        earlier, notes = self.notes.get(part), notes.to(self.keys.device)
        self.notes[part] = notes if earlier is None else torch.cat((earlier, notes), dim=1)

    def reset(self) -> None:
        """Forget everything, as a plain layer does."""
        self._missing_tokens = 0
        self.notes = {}
        super().reset()

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row, and remember of which prompt it is."""
        super().batch_repeat_interleave(repeats)
        self.rows = self.rows.repeat_interleave(repeats)
        self.notes = {part: notes.repeat_interleave(repeats, dim=0) for part, notes in self.notes.items()}

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows, and remember of which prompts they are."""
        super().batch_select_indices(indices)
        self.rows = self.rows[indices]
        self.notes = {part: notes[indices] for part, notes in self.notes.items()}

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put rows into another order, and remember of which prompts they are."""
        super().reorder_cache(beam_idx)
        self.rows = self.rows[beam_idx.to(self.rows.device)]
        self.notes = {part: notes[beam_idx.to(notes.device)] for part, notes in self.notes.items()}


def require_growing_cache(cache: Any, method: str) -> None:
    """Check that a cache can hold another number of tokens in each layer, and let layers with a window grow, too.

    A layer with a window forgets by number, and windows are measured in the whole prompt: masks do it instead.

    Raises:
        UnsupportedError: It is none that grows with what it is given.
    """
    if cache is None:
        return
    plain = (DynamicLayer, ShortenedLayer)
    if isinstance(cache, DynamicCache):
        cache.layers = [
            DynamicLayer() if type(layer) is DynamicSlidingWindowLayer else layer for layer in cache.layers
        ]
    is_plain = isinstance(cache, DynamicCache) and all(type(layer) in plain for layer in cache.layers)
    if is_plain and getattr(cache, "layer_class_to_replicate", None) in (None, *plain):
        return
    raise UnsupportedError(
        f"{method} drops tokens, so that layers keep different numbers of them, which a {type(cache).__name__} cannot "
        "hold; leave out cache_implementation and caches of your own, or give a DynamicCache of full attention"
    )


def unbind_cache(cache: Any) -> None:
    """Make a cache that is filled anew forget the prefill that filled it before: the new one may fail midway."""
    if getattr(cache, _OWNER, None) is not None:
        setattr(cache, _OWNER, None)


def bind_cache(cache: Any, prefill: Prefill, attachment: Attachment, has_notes: bool = False) -> None:
    """Note in a cache which prefill has just filled it.

    Args:
        cache: The cache.
        prefill: Its prefill.
        attachment: The present ``with`` block.
        has_notes: Whether the method remembers tokens after the prompt, which layer 0 then does for it.
    """
    owner = _Owner(prefill, attachment)
    try:
        setattr(cache, _OWNER, owner)
    except AttributeError:
        return  # a class without room for it: its next forward is refused
    for number, sequence in enumerate(prefill.at_layer):
        if not sequence.is_whole or (has_notes and not number):
            layer = cache.layers[number]
            kept = sequence.columns.shape[1]
            cache.layers[number] = ShortenedLayer(
                layer, kept, prefill.prompt_columns - kept, number == 0, owner
            )


def prefill_of(cache: Any, attachment: Attachment, rows: int) -> Prefill:
    """Return the prefill that filled a cache.

    Args:
        cache: Not empty.
        attachment: The present ``with`` block.
        rows: Of the batch that is to be appended.

    Raises:
        UnsupportedError: It was not filled inside this block, or its rows are others by now.
    """
    owner = getattr(cache, _OWNER, None)
    if owner is None or owner.prefill is None:
        raise UnsupportedError(
            f"{attachment.method} did not see how this {type(cache).__name__} was filled (before it was attached, by a "
            "prefill that failed, or from a file); give the whole prompt with an empty cache"
        )
    if owner.attachment is not attachment:
        raise UnsupportedError(
            "the cache was filled inside another 'with' block of attach; give the whole prompt with an empty cache"
        )
    prompts = len(owner.prefill.layouts)
    if prompts not in (1, rows):
        raise UnsupportedError(
            f"the cache was filled by {prompts} prompts and is continued by {rows} rows; expected as many, or one "
            "prompt that all rows share"
        )
    found: Prefill = owner.prefill
    if prompts == 1:
        return found
    shortened = next((layer for layer in cache.layers if isinstance(layer, ShortenedLayer)), None)
    if shortened is not None and shortened.keys is not None:
        behind = shortened.rows // found.copies
        if not torch.equal(behind, torch.arange(rows, device=behind.device) // found.copies):
            raise UnsupportedError(
                f"the rows of the cache are no longer those of the prompts that filled it, but of prompts "
                f"{behind.tolist()}; keep their order, or give each prompt a cache of its own"
            )
    return found


def held_tokens(cache: Any, layer: int) -> int:
    """Return how many tokens a layer holds of those it was shown."""
    return int(cache.layers[layer].keys.shape[-2])
