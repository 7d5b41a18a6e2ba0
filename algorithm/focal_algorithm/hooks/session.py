"""What happens at each hook: prefill is compressed and recorded, decode gets the right masks and positions.

The only file that knows both the batch and the method. Hooks are registered in
`focal_algorithm.hooks.attach`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from focal_algorithm.hooks.ahead import operands_ahead
from focal_algorithm.hooks.cache import (
    Attachment,
    bind_cache,
    held_tokens,
    prefill_of,
    require_growing_cache,
    unbind_cache,
)
from focal_algorithm.hooks.forward import Forward, ThreadState
from focal_algorithm.hooks.generation import GenerateCall
from focal_algorithm.hooks.operands import Operands, rotary_rows
from focal_algorithm.hooks.placement import devices_of_layers, is_spread, moved
from focal_algorithm.hooks.prefill import Picture, Prefill
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.hooks.requirements import (
    real_tokens,
    require_kept_logits,
    require_next_positions,
    require_observed,
    require_pixels,
    require_same_padding,
)
from focal_algorithm.hooks.sequence import BatchSequence, gather_tokens
from focal_algorithm.hooks.tower import TowerWatch
from focal_algorithm.hooks.visual import compress_pictures
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    DecodeNotes,
    HookPoint,
    Resequenced,
    changes_length,
    hook_points,
)
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.inference_only import refuse_compiled_forward, refuse_training
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import cache_in, cache_name, cache_of
from focal_common.errors import ConfigError, RunError, UnsupportedError

__all__ = ["Session"]


class Session:
    """A method attached to a model. Threads may run the model at the same time; each has its own forward.

    Args:
        model: The model.
        adapter: Its family.
        method: The method.
        recorder: Takes what the method did; None to record nothing.
        layouts: Layout of each row of the coming batches; None to read it from ``input_ids`` at each prefill.
            They tell the prompt from generated tokens where a loop of one's own decodes without a cache.
    """

    def __init__(
        self,
        model: Any,
        adapter: ModelAdapter,
        method: CompressionMethod,
        recorder: Recorder | None,
        layouts: Sequence[SampleLayout] | None,
    ) -> None:
        self.method = method
        self.layouts = layouts
        self.points = hook_points(method)
        self._decoder_points = adapter.points(model)
        self.geometry = self._decoder_points.geometry
        self._devices = devices_of_layers(self._decoder_points.layers) if is_spread(model) else ()
        self.attachment = Attachment(method.name)
        self._drops = changes_length(method)
        self._model = model
        self._decoder: Any = self._decoder_points.decoder
        self._modules = tuple(model.modules())
        self._adapter = adapter
        self._recorder = recorder
        self._thread = ThreadState()
        looks = self._drops or HookPoint.ATTENTION_OPERANDS in self.points
        self._windows = self._decoder_points.windows if looks else (None,) * self.geometry.layers
        self.operands = Operands(method, self.points, self._windows, self._thread)
        self._rotary = getattr(self._decoder, "rotary_emb", None)
        self.tower = (
            TowerWatch(adapter.vision_points(model), method.needs)
            if HookPoint.VISION_OUTPUT in self.points
            else None
        )

    @property
    def _active(self) -> Prefill | None:
        return self._thread.prefilling

    def positions(self, layer: int | None = None, *, of: str = "keys") -> Tensor:
        """Return which token of the prompt each place of a shortened tensor holds, for this thread's last forward.

        Args:
            layer: Decoder layer, or index into ``hidden_states``; None for the logits and the last hidden state.
            of: ``keys`` for the cache and the attention of a layer; ``hidden_states`` for the entries of the tuple that
                ``output_hidden_states=True`` gives.

        Returns:
            Axes (batch, tokens), int64: columns of ``input_ids``, padding included; -1 for places that no token holds.
            Tokens generated since follow behind them in a cache.

        Raises:
            RunError: There was no prefill.
            ConfigError: There is no such layer.
        """
        prefill = self._thread.forward.prefill
        if prefill is None or len(prefill.at_layer) < self.geometry.layers:
            raise RunError("there are no positions before the first finished prefill of this thread")
        layers = self.geometry.layers
        # Without drops inside a layer, what it hands on is what its keys are of.
        after_layer = prefill.after_layer or prefill.at_layer
        stages = {"keys": prefill.at_layer, "hidden_states": [prefill.at_layer[0], *after_layer]}
        if of not in stages:
            raise ConfigError(f"of: got '{of}'; expected keys or hidden_states")
        if layer is None:
            sequence = prefill.sequence
        elif 0 <= layer < len(stages[of]):
            sequence = stages[of][layer]
        else:
            raise ConfigError(f"layer: got {layer}; expected 0 to {layers if of != 'keys' else layers - 1}")
        return sequence.columns.masked_fill(~sequence.is_real, -1)

    def generating(self, call: GenerateCall, carry_out: Callable[[], Any]) -> Any:
        """Carry out a call of `generate`, whose forwards then know where its prompts end."""
        before, self._thread.call = self._thread.call, call
        self._forget_pictures()  # the tower runs before the first forward
        try:
            return carry_out()
        finally:
            self._thread.call = before

    def _forget_pictures(self) -> None:
        """Drop pictures that no prefill has taken: those of a forward that failed."""
        if self.tower is not None:
            self.tower.forget()
        if self._recorder is not None:
            self._recorder.start()

    # --- once per forward ---------------------------------------------------------------------------------

    def on_call(self, inputs: Mapping[str, Any]) -> None:
        """Refuse what cannot be right after tokens were dropped; ``inputs`` are what the caller gives.

        Raises:
            UnsupportedError: A loss over all tokens of the prompt is asked for.
        """
        self._thread.logits_to_keep = inputs.get("logits_to_keep", 0)
        if self._drops and inputs.get("labels") is not None:
            raise UnsupportedError(
                f"labels hold one token for each of the prompt, and {self.method.name} drops some; leave labels out "
                "and take the loss from the logits, whose places in the prompt are positions()"
            )

    def on_model_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Read layouts where none were given; ``inputs`` are the keyword arguments of the whole model."""
        now = self._thread.forward = Forward(logits_to_keep=self._thread.logits_to_keep)
        self._thread.logits_to_keep = 0
        now.attention_mask = inputs.get("attention_mask")
        token_ids, call, is_cached = inputs.get("input_ids"), self._thread.call, _cached_tokens(inputs) > 0
        if not is_cached and any(
            name.startswith("pixel_values") and inputs[name] is not None for name in inputs
        ):
            self._forget_pictures()  # the tower runs inside this forward
        if token_ids is None:
            return
        if is_cached:
            # A placeholder that was generated, or drafted, is text.
            is_drafted = call is not None and call.layouts is not None
            if token_ids.shape[1] == 1 or is_drafted:
                now.brings_pictures = False
            else:
                visual = torch.tensor(self._adapter.placeholders(self._model), device=token_ids.device)
                now.brings_pictures = bool(torch.isin(token_ids, visual).any())
            return
        is_real = real_tokens(inputs.get("attention_mask"), token_ids, cache_in(inputs))
        now.token_ids = [row[keep] for row, keep in zip(token_ids, is_real, strict=True)]
        if call is not None and call.prompt_ids is not None and not call.is_known(token_ids):
            call = None  # another prompt, of a logits processor, say
        if call is not None and len(token_ids) % call.copies == 0:
            now.copies = call.copies
        if call is not None and call.is_known(token_ids):
            now.layouts, now.is_recomputing = call.layouts, True
            if self.tower is not None and call.tower is not None:
                self.tower.restore(call.tower)
            return
        layouts = self.layouts
        if layouts is None:
            told = {**inputs, "attention_mask": is_real}
            layouts = self._adapter.layouts(self._model, told if call is None else call.prompt_inputs(told))
            require_pixels(layouts, inputs)
        if call is None:
            now.layouts = layouts
            return
        if len(layouts) * call.copies == len(token_ids):
            layouts = [layout for layout in layouts for _ in range(call.copies)]
        now.layouts = call.layouts = tuple(layouts)
        call.prompt_ids = token_ids[:, : call.prompt_tokens]

    def on_decoder_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Start a prefill, or prepare a decode step; ``inputs`` are keyword arguments of the decoder."""
        now, embeddings, cache = self._thread.forward, inputs["inputs_embeds"], cache_in(inputs)
        now.prefill = None  # a failed prefill must not leave its state to the next
        if not _cached_tokens(inputs):
            if self._drops:
                require_growing_cache(cache, self.method.name)
                if cache is None and inputs.get("use_cache") and any(self._windows):
                    inputs = inputs | {cache_name(): DynamicCache()}
            now.is_decoding = False
            unbind_cache(cache)
            now.prefill = self._start_prefill(embeddings, inputs)
            inputs, now.additions = self._adapter.layer_additions(inputs)
            return inputs
        prefill = prefill_of(cache, self.attachment, len(embeddings))
        refuse_training(self._model, (self._model, self._decoder))
        queries = embeddings.shape[1]
        if queries != 1 and now.brings_pictures:
            raise UnsupportedError(
                f"a prefill in pieces ({queries} tokens onto a filled cache) can bring only text, as input_ids; "
                "give a prompt with pictures at once"
            )
        now.is_decoding, now.prefill = True, prefill
        if HookPoint.DECODE_KEYS in self.points:
            for part, notes in cache.layers[0].notes.items():
                earlier = enumerate(notes) if notes.shape[1] else ()
                now.notes |= {(row, part): DecodeNotes(own) for row, own in earlier}
        if self._drops:
            require_same_padding(self._mask_in(inputs), prefill.is_real, prefill.is_padded)
        first = prefill.at_layer[0]
        if first.is_whole:
            return inputs
        # Layer 0 is short, so masks are made per layer, and positions follow from what it holds.
        steps = held_tokens(cache, 0) - first.columns.shape[1]
        require_next_positions(inputs.get("position_ids"), prefill.last_positions + 1 + steps)
        return inputs | {
            "position_ids": prefill.decode_positions(0, steps, queries).to(embeddings.device),
            "attention_mask": None,
        }

    def on_decoder_output(self, output: Any) -> None:
        """Close a finished prefill: its record, and what its cache must know."""
        now, prefill = self._thread.forward, self._active
        now.additions = ()
        cache = cache_of(output) if not isinstance(output, tuple) else output[1] if len(output) > 1 else None
        if prefill is None:
            self._keep_notes(cache)
            return
        prefill.require_numbers()
        if prefill.record is not None:
            prefill.record.complete(prefill.states, now.token_ids or ())
        if hasattr(cache, "get_seq_length"):
            if prefill.drafted_tokens and len(prefill.layouts) > 1:
                raise UnsupportedError(
                    "a batch of several prompts with tokens drafted after them cannot fill a cache; give them one by "
                    "one, or use_cache=False"
                )
            prefill.finish()
            bind_cache(cache, prefill, self.attachment, HookPoint.DECODE_KEYS in self.points)
            self._keep_notes(cache)

    def _keep_notes(self, cache: Any) -> None:
        """Leave what the method noted of new tokens beside their keys."""
        notes = self._thread.forward.notes
        for part in {part for _, part in notes}:
            new = [one.new for (_, number), one in sorted(notes.items()) if number == part]
            found = [one for one in new if one is not None]
            if found:
                width = max(one.shape[-1] for one in found)
                padded = [torch.nn.functional.pad(one, (0, width - one.shape[-1])) for one in found]
                cache.layers[0].note(part, torch.stack(padded))

    def _mask_in(self, inputs: Mapping[str, Any]) -> Any:
        """Return the mask of a forward, of its decoder's arguments, as the model was given it."""
        mask = inputs.get("attention_mask")
        return self._thread.forward.attention_mask if isinstance(mask, dict) else mask

    def _start_prefill(self, embeddings: Tensor, inputs: Mapping[str, Any]) -> Prefill:
        now = self._thread.forward
        layouts = self.layouts if now.layouts is None else now.layouts
        refuse_training(self._model, self._modules)
        refuse_compiled_forward()
        require_observed(self._decoder.config._attn_implementation)
        if layouts is None:
            raise UnsupportedError(
                "the prompt came as embeddings, which do not say where its pictures lie; give input_ids, or "
                "attach(..., layouts=...)"
            )
        call = self._thread.call
        if now.layouts is None and call is not None and len(layouts) * call.copies == len(embeddings):
            now.copies = call.copies  # a prompt of embeddings
            layouts = [layout for layout in layouts for _ in range(call.copies)]
        is_real = real_tokens(self._mask_in(inputs), embeddings, cache_in(inputs))
        lengths = [int(length) for length in is_real.sum(dim=1)]
        has_more = any(
            length > layout.sequence_tokens for layout, length in zip(layouts, lengths, strict=False)
        )
        is_recorded = self._recorder is not None and not (
            now.is_recomputing or (has_more and self._thread.call is None)
        )
        record = None
        if is_recorded and self._recorder is not None:
            drafted = max(
                length - layout.sequence_tokens for layout, length in zip(layouts, lengths, strict=False)
            )
            record = self._recorder.open(layouts, drafted, now.copies)
        positions = inputs.get("position_ids")
        prefill = Prefill(self.method, self.geometry, layouts, is_real, positions, record, now.copies)
        if now.token_ids is not None:
            now.token_ids = [
                row[: layout.sequence_tokens] for row, layout in zip(now.token_ids, layouts, strict=True)
            ]
        if self._drops:
            require_kept_logits(now.logits_to_keep, prefill.layouts, self.method.name)
        return prefill

    # --- once per layer -----------------------------------------------------------------------------------

    def on_layer_input(
        self, layer: int, hidden: Tensor, inputs: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Any]]:
        """Fit positions and mask to the tokens present.

        Args:
            layer: Decoder layer.
            hidden: Residual stream, axes (batch, tokens, hidden).
            inputs: Keyword arguments of the layer.
        """
        now = self._thread.forward
        prefill = now.prefill
        if prefill is None:
            return hidden, inputs
        if self._devices:  # accelerate would move them too, but only after this hook
            hidden, inputs = moved((hidden, inputs), self._devices[layer])
        if now.is_decoding:
            sequence = prefill.at_layer[layer]
            if sequence.is_whole:
                return hidden, inputs
            steps = held_tokens(cache_in(inputs), layer) - sequence.columns.shape[1]
            queries = hidden.shape[1]
            window, end = self._windows[layer], prefill.prompt_columns
            changed = {"attention_mask": sequence.decode_mask(steps, queries, hidden.dtype, window, end)}
            if sequence.renumbered is not None:
                changed |= self._rotated(layer, hidden, prefill.decode_positions(layer, steps, queries))
            return hidden, inputs | changed
        prefill.move(hidden.device)
        if layer == 0 and self.tower is not None:
            hidden = self._compress_pictures(prefill, hidden)
        if HookPoint.LAYER_INPUT in self.points:
            answer = prefill.resequence(
                HookPoint.LAYER_INPUT, layer, hidden, partial(self._before_layer, layer, inputs)
            )
            if answer is not None:
                hidden = answer[1]
        sequence = prefill.sequence
        prefill.at_layer.append(sequence)
        inputs = inputs if sequence.is_whole else inputs | _fitted(inputs, sequence, hidden.dtype)
        now.rotary_tables = inputs.get("position_embeddings")
        return hidden, inputs

    def _before_layer(
        self, layer: int, inputs: Mapping[str, Any], picture: Picture, own: Tensor
    ) -> Resequenced | None:
        """Ask the method, which may look at operands of the layer that its own arguments do not hold."""

        def ahead() -> AttentionOperands:
            prefill = self._thread.forward.prefill
            tables, mask = inputs.get("position_embeddings"), None
            if prefill is not None and tables is not None:
                columns = prefill.sequence.position_columns[picture.row, picture.rows]
                tables = rotary_rows(tables, picture.row, columns)
                if self._windows[layer] is not None:
                    mask = prefill.sequence.prefill_mask(inputs.get("attention_mask"), own.dtype)
                mask = self.operands.window_of(layer, mask, picture)
            return operands_ahead(self._decoder_points.layers[layer], own, tables, mask)

        def final_norm(values: Tensor) -> Tensor:
            normed: Tensor = self._decoder_points.final_norm(values)
            return normed.to(values.device)

        stream = replace(picture.stream, ahead=ahead, final_norm=final_norm)
        return self.method.before_layer(layer, own, stream, picture.state)

    def _compress_pictures(self, prefill: Prefill, hidden: Tensor) -> Tensor:
        tower = self.tower
        if tower is None or not any(layout.visual_tokens for layout in prefill.layouts):
            return hidden
        maps = [
            [self._adapter.visual_map(self._model, part) for part in layout.parts]
            for layout in prefill.layouts
        ]
        now, call = self._thread.forward, self._thread.call
        shares = tower.take(maps, hidden.device, now.copies)
        if call is not None and now.layouts is call.layouts:
            call.tower = tower.seen()

        def decide(picture: Picture, own: Tensor) -> Resequenced | None:
            row, part = picture.row, picture.part
            return compress_pictures(
                self.method,
                tower.points,
                maps[row][part],
                shares[row][part],
                own,
                picture.stream,
                picture.state,
            )

        answer = prefill.resequence(HookPoint.LAYER_INPUT, 0, hidden, decide)
        return hidden if answer is None else answer[1]

    def _rotated(self, layer: int, hidden: Tensor, position_ids: Tensor) -> dict[str, Any]:
        if self._rotary is None:
            raise UnsupportedError(
                f"{self.method.name} counts positions anew, but this decoder has no module 'rotary_emb'"
            )
        # Layers with a window have frequencies of their own (Gemma 3).
        is_typed = "layer_type" in inspect.signature(self._rotary.forward).parameters
        kind = {"layer_type": self._decoder.config.layer_types[layer]} if is_typed else {}
        return {
            "position_embeddings": self._rotary(hidden, position_ids=position_ids, **kind),
            "position_ids": position_ids,
        }

    def on_after_attention(self, layer: int, hidden: Tensor) -> Tensor:
        """Drop or merge tokens between attention and MLP; axes (batch, tokens, hidden)."""
        prefill = self._active
        if prefill is None:
            return hidden

        def decide(picture: Picture, own: Tensor) -> Resequenced | None:
            return self.method.after_attention(layer, own, picture.stream, picture.state)

        answer = prefill.resequence(HookPoint.AFTER_ATTENTION, layer, hidden, decide)
        if answer is None:
            return hidden
        prefill.pending, hidden = answer
        return hidden

    def on_mlp_output(self, output: Tensor) -> Tensor:
        """Give the MLP's output the length of the residual stream that the layer still holds."""
        prefill = self._active
        return output if prefill is None or prefill.pending is None else prefill.pending.spread(output)

    def on_layer_output(self, layer: int, output: Tensor) -> Tensor:
        """Cut the layer's output to the kept tokens, and add what the decoder adds after this layer."""
        prefill = self._active
        if prefill is None:
            return output
        if prefill.pending is not None:
            pending, prefill.pending = prefill.pending, None
            output = pending.cut(output)
        prefill.after_layer.append(prefill.sequence)
        additions = self._thread.forward.additions
        if layer < len(additions):
            addition = additions[layer].to(output.device)
            output = output + gather_tokens(addition, prefill.sequence.columns, -2)
        return output


def _cached_tokens(inputs: Mapping[str, Any]) -> int:
    cache = cache_in(inputs)
    return 0 if cache is None else int(cache.get_seq_length())


def _fitted(inputs: Mapping[str, Any], sequence: BatchSequence, dtype: torch.dtype) -> dict[str, Any]:
    """Return positions and mask of a layer for the tokens present."""
    columns = sequence.position_columns
    changed: dict[str, Any] = {
        "position_embeddings": tuple(
            gather_tokens(table, columns, -2) for table in inputs["position_embeddings"]
        ),
        "attention_mask": sequence.prefill_mask(inputs.get("attention_mask"), dtype),
    }
    if inputs.get("position_ids") is not None:
        changed["position_ids"] = gather_tokens(inputs["position_ids"], columns, -1)
    return changed
