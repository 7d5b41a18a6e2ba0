"""What the arguments of a forward must say, so that a method can be right; each is refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import UnsupportedError

__all__ = ["OBSERVED", "real_tokens", "require_kept_logits", "require_observed", "require_same_padding"]

OBSERVED = "focal_"
"""How names of attention functions begin that show their operands to a session."""


def real_tokens(mask: Any, tokens: Tensor, cache: Any) -> Tensor:
    """Return which tokens of a prefill are no padding.

    `generate` prepares the masks of caches of fixed size, with axes (batch, 1, tokens, places of the cache): a token is
    real there if it may attend to itself.

    Args:
        mask: As the forward was given it.
        tokens: Ids or embeddings, axes (batch, tokens, ...).
        cache: That the prefill fills.

    Returns:
        Axes (batch, tokens), bool.

    Raises:
        UnsupportedError: The mask was prepared otherwise, or is not as long as the prompt.
    """
    shape = tokens.shape[:2]
    if not shape.numel():
        raise UnsupportedError(f"the prompt has axes {tuple(shape)}; expected at least one token")
    if isinstance(mask, dict):
        mask = mask.get("full_attention")
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=tokens.device)
    if torch.is_tensor(mask) and mask.shape == shape:
        is_real = mask.bool()
        if not bool(is_real.any(dim=1).all()):
            raise UnsupportedError(
                "a row of attention_mask is all zeros; expected at least one token in each prompt"
            )
        return is_real
    if torch.is_tensor(mask) and mask.ndim == 4 and getattr(cache, "is_compileable", False):
        own = mask[:, 0, :, : shape[1]].diagonal(dim1=-2, dim2=-1)
        return (own if own.dtype == torch.bool else own == 0).expand(shape)
    given = f"axes {tuple(mask.shape)}" if torch.is_tensor(mask) else f"a {type(mask).__name__}"
    raise UnsupportedError(
        f"attention_mask has {given}; expected axes (batch, tokens), here {tuple(shape)}: masks prepared beforehand "
        "are not supported"
    )


def require_pixels(layouts: Sequence[SampleLayout], inputs: Mapping[str, Any]) -> None:
    """Check that placeholders stand for pictures: without them a model takes the placeholders' own embeddings.

    Raises:
        UnsupportedError: A prompt has placeholders and the forward no pixels.
    """
    pictured = [layout.sample_id for layout in layouts if layout.visual_tokens]
    given = (name for name, value in inputs.items() if value is not None)
    if pictured and not any(
        name.startswith("pixel_values") or name == "mm_encoder_outputs" for name in given
    ):
        raise UnsupportedError(
            f"{pictured[0]}: the prompt holds placeholders of pictures but the forward was given no pixels; give the "
            "pixel_values that belong to the ids"
        )


def require_same_padding(mask: Any, is_real: Tensor, is_padded: bool) -> None:
    """Check that a decode step masks what the prefill did: masks of shortened layers are made from that.

    Args:
        mask: As the decode step was given it.
        is_real: Tokens of the prefill that are no padding, axes (batch, tokens), bool.
        is_padded: Whether there is padding among them.

    Raises:
        UnsupportedError: It masks other tokens of the prompt, or some since, or was prepared beforehand.
    """
    if mask is None:
        if is_padded:
            raise UnsupportedError(
                "a decode step onto padded prompts needs an attention_mask: that of the prefill, and a column of ones "
                "for each token since"
            )
        return
    columns = is_real.shape[1]
    if not torch.is_tensor(mask) or mask.ndim != 2:
        given = f"axes {tuple(mask.shape)}" if torch.is_tensor(mask) else f"a {type(mask).__name__}"
        raise UnsupportedError(
            f"the attention_mask of a decode step has {given}; expected axes (batch, tokens): masks prepared "
            "beforehand are not supported"
        )
    if not is_padded:
        is_same = mask.shape[1] >= columns and bool(mask.all())  # the usual case, at the cost of one kernel
    else:
        expected = torch.nn.functional.pad(is_real, (0, max(mask.shape[1] - columns, 0)), value=True)
        is_same = torch.equal(mask.bool(), expected)
    if not is_same:
        raise UnsupportedError(
            f"the attention_mask of a decode step, axes {tuple(mask.shape)}, must repeat that of the prefill, "
            f"{columns} columns with those of dropped tokens, and add a one for each token since: no padding after "
            "the prompt"
        )


def require_next_positions(given: Any, first: Tensor) -> None:
    """Check that positions given at a decode step are those that follow: layers that are short count them themselves.

    Positions of several axes follow from what the model keeps of its prompt, and are left to it.

    Args:
        given: As the decoder was given them, axes (batch or 1, new tokens); None for the model's own.
        first: Position of the first new token, axes (batch, 1), or with further axes before.

    Raises:
        UnsupportedError: They are others.
    """
    if not torch.is_tensor(given) or given.ndim != 2 or first.ndim != 2:
        return
    if not bool((given == first + torch.arange(given.shape[1], device=first.device)).all()):
        raise UnsupportedError(
            f"position_ids of a decode step are {given.tolist()}; expected those that follow the prompt, from "
            f"{first.flatten().tolist()} on, or leave them out"
        )


def require_kept_logits(keep: Any, layouts: Sequence[SampleLayout], method: str) -> None:
    """Check that logits asked for by place are those of tokens that are never dropped.

    Raises:
        UnsupportedError: They may be those of other tokens.
    """
    after = min((layout.query_tokens for layout in layouts if layout.visual_tokens), default=None)
    if after is None or (isinstance(keep, int) and keep <= max(after, 1)):
        return
    raise UnsupportedError(
        f"logits_to_keep counts places of the whole prompt, and {method} drops tokens before them; expected at most "
        f"{after}, the tokens after the picture, or leave it out and find places with positions()"
    )


def require_observed(implementation: str) -> None:
    """Check that the attention function of a forward is still one that shows its operands.

    Raises:
        UnsupportedError: Another was chosen since.
    """
    if not implementation.startswith(OBSERVED):
        raise UnsupportedError(
            f"attention implementation '{implementation}' was set while a method is attached, which does not see its "
            "operands; set it before the 'with' block"
        )
