"""The state of one prefill: which tokens are present, and what each method state has seen.

Lives from the start of a prefill to the end of its last decode step. Registers no hook.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.hooks.counting import HostCopies
from focal_algorithm.hooks.placement import moved
from focal_algorithm.hooks.recorder import OpenBatch
from focal_algorithm.hooks.sequence import BatchSequence, gather_tokens
from focal_algorithm.methods.base import CompressionMethod, HookPoint, Resequenced, TokenStream
from focal_algorithm.models.inference_only import refuse_gradients
from focal_algorithm.prompts.layout import SampleLayout
from focal_common.errors import ConfigError, RunError
from focal_traces.header.schema import DecoderGeometry

__all__ = ["Decision", "PendingMlp", "Picture", "Prefill"]


@dataclass(frozen=True)
class Picture:
    """One image or video of a prompt, as it is at one point of the decoder.

    Attributes:
        row: Of the batch.
        part: Number of the picture in its prompt.
        rows: Places of the prompt's tokens, axes (tokens).
        stream: What the method is told of them.
        state: Of the method.
    """

    row: int
    part: int
    rows: Tensor
    stream: TokenStream
    state: Any


Decision = Callable[[Picture, Tensor], Resequenced | None]


@dataclass(frozen=True)
class PendingMlp:
    """A drop between attention and MLP that the rest of the layer must carry out.

    The stock layer still holds its whole residual stream, so the MLP's output is spread over all tokens and
    the sum is cut to the kept ones at the end of the layer. The kept rows are exactly those of a short
    residual.

    Attributes:
        sequence: Tokens present after the drop.
        places: Their places before it, axes (batch, tokens).
        tokens_before: Length before it.
        change: What merging added to the kept rows, axes (batch, tokens, hidden); None for a plain drop.
    """

    sequence: BatchSequence
    places: Tensor
    tokens_before: int
    change: Tensor | None

    def spread(self, mlp_output: Tensor) -> Tensor:
        """Return the MLP's output at its places among all tokens; zero elsewhere."""
        if self.change is not None:
            mlp_output = mlp_output + self.change
        batch, _, hidden = mlp_output.shape
        full = mlp_output.new_zeros(batch, self.tokens_before, hidden)
        for sample in range(batch):
            rows = self.sequence.rows(sample)
            full[sample, self.places[sample, rows]] = mlp_output[sample, rows]
        return full

    def cut(self, layer_output: Tensor) -> Tensor:
        """Return the kept tokens of the layer's output."""
        return gather_tokens(layer_output, self.places, -2)


class Prefill:
    """Tokens and method states of a batch of prompts.

    Args:
        method: The method.
        geometry: Decoder shape.
        layouts: One per row of the batch.
        is_real: Axes (batch, tokens); False for padding.
        position_ids: Of all tokens, axes (..., batch or 1, tokens); None for 0, 1, 2, ...
        record: Takes what is done to the prompts; None to record nothing.
        copies: Rows in a row that are the same prompt, and may change places.

    Attributes:
        at_layer: Tokens of the prompts whose keys each layer holds.
        after_layer: Tokens that each layer hands on.
        drafted_tokens: Tokens after each prompt in the same forward, which the method leaves alone.

    Raises:
        ConfigError: Layouts and batch do not fit.
    """

    def __init__(
        self,
        method: CompressionMethod,
        geometry: DecoderGeometry,
        layouts: Sequence[SampleLayout],
        is_real: Tensor,
        position_ids: Tensor | None,
        record: OpenBatch | None = None,
        copies: int = 1,
    ) -> None:
        self.sequence = BatchSequence.whole(is_real)
        lengths = self.sequence.lengths
        if len(lengths) != len(layouts):
            raise ConfigError(
                f"got {len(layouts)} layouts for a batch of {len(lengths)}; expected one per row"
            )
        for layout, length in zip(layouts, lengths, strict=True):
            if length < layout.sequence_tokens:
                raise ConfigError(
                    f"{layout.sample_id}: the layout describes {layout.sequence_tokens} tokens but the "
                    f"prompt has "
                    f"{length}"
                )
        self.layouts = tuple(layouts)
        self.drafted_tokens = max(
            length - layout.sequence_tokens for layout, length in zip(layouts, lengths, strict=True)
        )
        prompt_tokens = torch.tensor([[layout.sequence_tokens] for layout in layouts], device=is_real.device)
        self.last_positions = _last_positions(
            position_ids, is_real & (is_real.cumsum(dim=1) <= prompt_tokens)
        )
        self.is_real = is_real
        self.is_padded = not self.sequence.is_full
        self.record = record
        self.copies = copies
        self.at_layer: list[BatchSequence] = []
        self.after_layer: list[BatchSequence] = []
        self.pending: PendingMlp | None = None
        self._has_one_axis = self.last_positions.ndim == 2
        self._method = method
        self._token_ids = is_real.cumsum(dim=1) - 1
        self._pictures = [
            (row, part) for row, layout in enumerate(layouts) for part in range(len(layout.parts))
        ]
        self.states: dict[tuple[int, int], Any] = {
            (row, part): method.start(geometry, layouts[row].parts[part]) for row, part in self._pictures
        }
        self._greatest: list[tuple[int, str, Tensor]] = []
        self._shown = self._show(TokenStream.whole)

    def pictures(self, part: int | None = None) -> list[Picture]:
        """Return the images and videos of the batch, each of which the method is shown on its own.

        Args:
            part: Number of a picture in its prompt; None for all.
        """
        return self._shown if part is None else [one for one in self._shown if one.part == part]

    def move(self, device: torch.device) -> None:
        """Follow the prompts to the device of the next layer, with all that later layers need of earlier ones."""
        if self.sequence.columns.device == device:
            return
        self.sequence, self._token_ids = moved((self.sequence, self._token_ids), device)
        self.states = {key: moved(state, device) for key, state in self.states.items()}
        self._shown = [
            replace(
                one,
                rows=self.sequence.rows(one.row),
                stream=moved(one.stream, device),
                state=self.states[one.row, one.part],
            )
            for one in self._shown
        ]

    def watch_numbers(self, layer: int, gemm: str, values: Tensor) -> None:
        """Note a GEMM input, axes (batch, tokens, width), for `require_numbers`."""
        if self.sequence.is_full:
            greatest = values.amax()  # NaN where one element is
        else:
            greatest = values.amax(dim=-1).masked_fill(~self.sequence.is_real, 0).amax()
        self._greatest.append((layer, gemm, greatest))

    def require_numbers(self) -> None:
        """Check the GEMM inputs noted so far, of real tokens alone; each device is waited for once.

        Raises:
            RunError: One holds NaN; the sentence says which was the first.
        """
        host = HostCopies()
        fetches = [host.add(greatest.isnan()) for _, _, greatest in self._greatest]
        host.fetch()
        for (layer, gemm, _), is_nan in zip(self._greatest, fetches, strict=True):
            if is_nan():
                raise RunError(f"layer {layer}, {gemm}: the activations hold NaN; expected finite numbers")
        self._greatest = []

    def resequence(
        self, point: HookPoint, layer: int, hidden: Tensor, decide: Decision
    ) -> tuple[PendingMlp, Tensor] | None:
        """Ask the method which tokens remain.

        Args:
            point: Where.
            layer: Decoder layer.
            hidden: Residual stream, axes (batch, tokens, hidden).
            decide: From a picture and the tokens of its prompt to the answer.

        Returns:
            None if nothing changes; else how to carry the change out, and the new residual stream.
        """
        before, places, is_merged = hidden, None, False
        # The pictures of a prompt one after the other: each is told what those before it have left.
        for part in range(max((len(layout.parts) for layout in self.layouts), default=0)):
            step = self._resequenced(part, point, layer, hidden, decide)
            if step is not None:
                step_places, hidden, has_merged = step
                places = step_places if places is None else places.gather(1, step_places)
                is_merged = is_merged or has_merged
        if places is None:
            return None
        change = hidden - gather_tokens(before, places, -2) if is_merged else None
        return PendingMlp(self.sequence, places, before.shape[1], change), hidden

    def _resequenced(
        self, part: int, point: HookPoint, layer: int, hidden: Tensor, decide: Decision
    ) -> tuple[Tensor, Tensor, bool] | None:
        """Carry out what the method decides of one picture of each prompt.

        Returns:
            None if nothing changes; else the place before the change of each token, the new residual stream, and
            whether it holds merged tokens.
        """
        answers: dict[int, Resequenced] = {}
        for picture in self.pictures(part):
            own = hidden[picture.row, picture.rows].detach()  # kernels may write in place
            answer = decide(picture, own)
            if answer is not None:
                if not len(answer.rows):
                    raise RunError(f"layer {layer}: {self._method.name} dropped every token of a prompt")
                answers[picture.row] = answer
                if self.record is not None:
                    self.record.resequenced(picture.row, point, layer, picture.stream, answer)
        if not answers:
            return None
        kept = [self.sequence.rows(row) for row in range(len(self.layouts))]
        for row, answer in answers.items():
            kept[row] = kept[row][answer.rows]
        renumbers = {row for row, answer in answers.items() if answer.renumbers and self._has_one_axis}
        sequence, places = self.sequence.taken(kept, renumbers)
        hidden = gather_tokens(hidden, places, -2)
        has_merged = any(answer.hidden is not None for answer in answers.values())
        if has_merged:
            hidden = hidden.clone()
            for row, answer in answers.items():
                if answer.hidden is not None:
                    hidden[row, sequence.rows(row)] = answer.hidden
            hidden = refuse_gradients(hidden, self._method.name)
        self.sequence = sequence
        self._shown = self._show(TokenStream.of)
        return places, hidden, has_merged

    @property
    def prompt_columns(self) -> int:
        """Columns of the padded prompts, without tokens drafted after them."""
        return self.is_real.shape[1] - self.drafted_tokens

    @property
    def text_after(self) -> int:
        """Tokens after all pictures that every prompt ends with; 0 where prompts are padded."""
        return 0 if self.is_padded else min((layout.query_tokens for layout in self.layouts), default=0)

    def finish(self) -> None:
        """Let go of what only the prefill needs; what decode steps need is cut to the prompts."""
        self.at_layer = [one.without_last(self.drafted_tokens) for one in self.at_layer]
        self.after_layer = [one.without_last(self.drafted_tokens) for one in self.after_layer]
        self.sequence = self.sequence.without_last(self.drafted_tokens)
        self.is_real = self.is_real[:, : self.prompt_columns]
        self.drafted_tokens, self.record, self.states, self._shown = 0, None, {}, []

    def decode_positions(self, layer: int, steps: int, queries: int) -> Tensor:
        """Return the positions of ``queries`` tokens that come ``steps`` tokens after the prefill, as a layer counts.

        Axes (..., batch, queries).
        """
        sequence = self.at_layer[layer]
        positions = self.last_positions.to(sequence.columns.device) + 1 + steps
        positions = positions + torch.arange(queries, device=positions.device)
        lowered = sequence.lowered
        return positions if lowered is None else positions - lowered

    def held_stream(self, layer: int, row: int, part: int, steps: int) -> tuple[TokenStream, Tensor]:
        """Return the tokens of a prompt that a layer holds in a decode step, and their places in its cache.

        Args:
            layer: Decoder layer.
            row: Prompt.
            part: Number of a picture in it.
            steps: Tokens after the prompt, those of this step included; negative where fewer follow the pictures than
                in the prompt, whose text was cut.
        """
        sequence, layout = self.at_layer[layer], self.layouts[row].parts[part]
        rows = sequence.rows(row)
        rows = rows[: len(rows) + min(steps, 0)]
        after = torch.arange(max(steps, 0), device=rows.device)
        own = self._token_ids[row].to(rows.device)[sequence.columns[row, rows]]
        token_ids = torch.cat((own, layout.sequence_tokens + after))
        places = torch.cat((rows, sequence.columns.shape[1] + after))
        return TokenStream.of(layout, token_ids), places

    def _show(self, stream_of: Callable[[SampleLayout, Tensor], TokenStream]) -> list[Picture]:
        columns, rows = self.sequence.columns, [self.sequence.rows(row) for row in range(len(self.layouts))]
        token_ids = [self._token_ids[row][columns[row, own]] for row, own in enumerate(rows)]
        return [
            Picture(
                row,
                part,
                rows[row],
                stream_of(self.layouts[row].parts[part], token_ids[row]),
                self.states[row, part],
            )
            for row, part in self._pictures
        ]


def _last_positions(position_ids: Tensor | None, is_real: Tensor) -> Tensor:
    """Return the position of the last real token of each prompt.

    Args:
        position_ids: Axes (..., batch or 1, tokens); None for 0, 1, 2, ...
        is_real: Axes (batch, tokens).

    Returns:
        Axes (..., batch, 1).
    """
    places = torch.arange(is_real.shape[1], device=is_real.device)
    last = (places * is_real).amax(dim=1, keepdim=True)
    return last if position_ids is None else gather_tokens(position_ids, last, -1)
