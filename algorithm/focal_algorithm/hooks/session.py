"""What happens at each hook: prefill is compressed and recorded, decode gets the right masks and positions.

The only file that knows both the batch and the method. Hooks are registered in
`focal_algorithm.hooks.attach`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from focal_algorithm.hooks.prefill import Prefill, last_positions
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.hooks.sequence import BatchSequence, gather_tokens
from focal_algorithm.hooks.tower import TowerWatch
from focal_algorithm.hooks.visual import compress_pictures
from focal_algorithm.methods.base import (
    AttentionOperands,
    CompressionMethod,
    GemmOutcome,
    HookPoint,
    Resequenced,
    TokenStream,
    hook_points,
)
from focal_algorithm.models.base import ModelAdapter
from focal_algorithm.models.inference_only import refuse_gradients, refuse_training
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.transformers_versions import cache_in
from focal_common.errors import RunError, UnsupportedError

__all__ = ["Session"]


class Session:
    """A method attached to a model.

    Args:
        model: The model.
        adapter: Its family.
        method: The method.
        recorder: Takes what the method did; None to record nothing.
        layouts: Layout of each row of the coming batches; None to read it from ``input_ids`` at each prefill.
            Give layouts to run greedy decoding without a cache: they tell the prompt from generated tokens.
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
        self.geometry = adapter.points(model).geometry
        self._probability_layers = (
            range(self.geometry.layers)[method.needs.probability_layers]
            if HookPoint.ATTENTION_PROBABILITIES in self.points
            else range(0)
        )
        self._rotary_tables: tuple[Tensor, Tensor] | None = None
        self._model = model
        self._decoder = adapter.points(model).decoder
        self._modules = tuple(model.modules())
        self._adapter = adapter
        self._recorder = recorder
        self._found_layouts: Sequence[SampleLayout] | None = None
        self._prefill: Prefill | None = None
        self._additions: tuple[Tensor, ...] = ()
        self._is_decoding = False
        self._continues_with_text = False
        self._rotary = getattr(self._decoder, "rotary_emb", None)
        self.tower = (
            TowerWatch(adapter.vision_points(model), method.needs.tower_layers)
            if HookPoint.VISION_OUTPUT in self.points
            else None
        )

    @property
    def _active(self) -> Prefill | None:
        return None if self._is_decoding else self._prefill

    # --- once per forward ---------------------------------------------------------------------------------

    def on_model_inputs(self, inputs: Mapping[str, Any]) -> None:
        """Read layouts where none were given; ``inputs`` are the keyword arguments of the whole model."""
        if self.tower is not None and any(name.startswith("pixel_values") for name in inputs):
            self.tower.forget()  # the tower runs inside this forward; what a failed one left is stale
        token_ids = inputs.get("input_ids")
        if _cached_tokens(inputs):
            if token_ids is not None and token_ids.shape[1] > 1:
                layouts = self._adapter.layouts(self._model, {"input_ids": token_ids})
                self._continues_with_text = not any(layout.visual_tokens for layout in layouts)
            return
        if self.layouts is not None or token_ids is None:
            return
        self._found_layouts = self._adapter.layouts(self._model, inputs)

    def on_decoder_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Start a prefill, or prepare a decode step; ``inputs`` are keyword arguments of the decoder."""
        embeddings = inputs["inputs_embeds"]
        if not _cached_tokens(inputs):
            self._is_decoding = False
            self._prefill = None  # a failed prefill must not leave its state to the next
            self._prefill = self._start_prefill(embeddings, inputs)
            inputs, self._additions = self._adapter.layer_additions(inputs)
            return inputs
        if self._prefill is None:
            raise UnsupportedError(
                "the cache was filled before the method was attached; attach before the prefill"
            )
        refuse_training(self._model, (self._model, self._decoder))
        queries = embeddings.shape[1]
        if queries != 1 and not self._continues_with_text:
            raise UnsupportedError(
                f"a prefill in pieces ({queries} tokens onto a filled cache) can bring only text, as input_ids; "
                "give a prompt with pictures at once"
            )
        self._is_decoding = True
        first = self._prefill.at_layer[0]
        if first.is_whole:
            return inputs
        # Layer 0 is short, so lengths of its cache no longer tell positions, and masks are made per layer.
        steps = _cached_tokens(inputs) - first.columns.shape[1]
        return inputs | {
            "position_ids": self._prefill.decode_positions(0, steps, queries),
            "attention_mask": None,
        }

    def on_decoder_output(self) -> None:
        """Close the record of a finished prefill."""
        prefill = self._active
        self._additions = ()
        if prefill is not None and self._recorder is not None and not prefill.has_generated_tokens:
            self._recorder.complete(prefill.states)

    def _start_prefill(self, embeddings: Tensor, inputs: Mapping[str, Any]) -> Prefill:
        layouts = self.layouts if self.layouts is not None else self._found_layouts
        self._found_layouts = None
        refuse_training(self._model, self._modules)
        if layouts is None:
            raise UnsupportedError(
                "the prompt came as embeddings; give attach(..., layouts=...) to say what it holds"
            )
        mask = inputs.get("attention_mask")
        if mask is not None and (not torch.is_tensor(mask) or mask.ndim != 2):
            raise UnsupportedError(
                "attention_mask must have axes (batch, tokens); prepared masks are not supported"
            )
        batch, tokens, _ = embeddings.shape
        is_real = (
            torch.ones(batch, tokens, dtype=torch.bool, device=embeddings.device)
            if mask is None
            else mask.bool()
        )
        positions = last_positions(inputs.get("position_ids"), is_real)
        on_change = None if self._recorder is None else self._recorder.resequenced
        prefill = Prefill(self.method, self.geometry, layouts, is_real, positions, on_change)
        if self._recorder is not None and not prefill.has_generated_tokens:
            self._recorder.begin(prefill.layouts)
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
        prefill = self._prefill
        if prefill is None:
            return hidden, inputs
        if self._is_decoding:
            sequence = prefill.at_layer[layer]
            if sequence.is_whole:
                return hidden, inputs
            steps = cache_in(inputs).get_seq_length(layer) - sequence.columns.shape[1]
            queries = hidden.shape[1]
            changed = {"attention_mask": sequence.decode_mask(steps, queries, hidden.dtype)}
            if sequence.renumbered is not None:
                changed |= self._rotated(hidden, prefill.decode_positions(layer, steps, queries))
            return hidden, inputs | changed
        if layer == 0 and self.tower is not None:
            hidden = self._compress_pictures(prefill, hidden)
        if HookPoint.LAYER_INPUT in self.points:
            answer = prefill.resequence(HookPoint.LAYER_INPUT, layer, hidden)
            if answer is not None:
                hidden = answer[1]
        sequence = prefill.sequence
        prefill.at_layer.append(sequence)
        inputs = inputs if sequence.is_whole else inputs | _fitted(inputs, sequence, hidden.dtype)
        self._rotary_tables = inputs.get("position_embeddings")
        return hidden, inputs

    def _compress_pictures(self, prefill: Prefill, hidden: Tensor) -> Tensor:
        tower = self.tower
        if tower is None or not any(layout.visual_tokens for layout in prefill.layouts):
            return hidden
        maps = [
            self._adapter.visual_map(self._model, layout) if layout.visual_tokens else None
            for layout in prefill.layouts
        ]
        shares = tower.take(maps)

        def decide(sample: int, own: Tensor, stream: TokenStream, state: Any) -> Resequenced | None:
            visual_map, work = maps[sample], shares[sample]
            if visual_map is None or work is None:
                return None
            return compress_pictures(self.method, tower.points, visual_map, work, own, stream, state)

        answer = prefill.resequence(HookPoint.LAYER_INPUT, 0, hidden, decide)
        return hidden if answer is None else answer[1]

    def _tables_of(self, sample: int, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the rotary tables of the tokens of one prompt at the present layer."""
        if self._rotary_tables is None:
            return None
        cos, sin = self._rotary_tables
        own = sample if cos.shape[-3] > 1 else 0
        return cos[..., own, rows, :], sin[..., own, rows, :]

    def _rotated(self, hidden: Tensor, position_ids: Tensor) -> dict[str, Any]:
        if self._rotary is None:
            raise UnsupportedError(
                f"{self.method.name} counts positions anew, but this decoder has no module 'rotary_emb'"
            )
        return {
            "position_embeddings": self._rotary(hidden, position_ids=position_ids),
            "position_ids": position_ids,
        }

    def on_after_attention(self, layer: int, hidden: Tensor) -> Tensor:
        """Drop or merge tokens between attention and MLP; axes (batch, tokens, hidden)."""
        prefill = self._active
        if prefill is None:
            return hidden
        answer = prefill.resequence(HookPoint.AFTER_ATTENTION, layer, hidden)
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
        if layer < len(self._additions):
            output = output + gather_tokens(self._additions[layer], prefill.sequence.columns, -2)
        return output

    # --- GEMM inputs and attention ------------------------------------------------------------------------

    def on_gemm_input(self, layer: int, gemm: str, values: Tensor) -> Tensor:
        """Transform and record a GEMM input, axes (batch, tokens, width).

        Raises:
            RunError: The activations hold NaN.
        """
        prefill = self._active
        if prefill is None:
            return values
        if bool((values.isnan().any(dim=-1) & prefill.sequence.is_real).any()):
            raise RunError(f"layer {layer}, {gemm}: the activations hold NaN; expected finite numbers")
        is_recording = self._recorder is not None and not prefill.has_generated_tokens
        result = values
        for sample, rows, stream, state in prefill.samples():
            own = values[sample, rows].detach()  # methods are for inference; kernels write in place
            if HookPoint.GEMM_INPUT in self.points:
                outcome = self.method.transform(layer, gemm, own, stream, state)
            else:
                outcome = GemmOutcome(own)
            if is_recording and self._recorder is not None:
                self._recorder.observe(sample, layer, gemm, outcome, stream)
            if outcome.values is not own:
                result = values.clone() if result is values else result
                result[sample, rows] = outcome.values
        return result if result is values else refuse_gradients(result, self.method.name)

    def on_query(self, layer: int, query: Tensor, key: Tensor, scaling: float) -> Tensor:
        """Transform Q and show the operands of the attention to the method.

        Args:
            layer: Decoder layer.
            query: Axes (batch, heads, tokens, head_dim), after the position embedding.
            key: Axes (batch, kv_heads, tokens, head_dim).
            scaling: Factor of the scores.
        """
        prefill = self._active
        if prefill is None:
            return query
        batch, heads, tokens, head_dim = query.shape
        if self._recorder is not None or HookPoint.GEMM_INPUT in self.points:
            flat = query.transpose(1, 2).reshape(batch, tokens, heads * head_dim)
            new = self.on_gemm_input(layer, "query", flat)
            if new is not flat:
                query = new.view(batch, tokens, heads, head_dim).transpose(1, 2)
        if HookPoint.ATTENTION_OPERANDS in self.points:
            for sample, rows, stream, state in prefill.samples():
                own_query, own_key = query[sample][:, rows].detach(), key[sample][:, rows].detach()
                operands = AttentionOperands(own_query, own_key, scaling, self._tables_of(sample, rows))
                self.method.see_attention(layer, operands, stream, state)
        return query

    def replaces_probabilities(self, layer: int) -> bool:
        """Return whether the attention of a layer must be computed unfused, for the method to change."""
        if layer not in self._probability_layers or self._active is None:
            return False
        return any(layout.visual_tokens for layout in self._active.layouts)

    def on_probabilities(self, layer: int, first_head: int, probabilities: Tensor) -> Tensor:
        """Let the method replace the softmax output of some heads, axes (batch, heads, tokens, tokens), in place."""
        prefill = self._active
        if prefill is None:
            return probabilities
        for sample, rows, stream, state in prefill.samples():
            is_whole = len(rows) == probabilities.shape[2]
            own = probabilities[sample] if is_whole else probabilities[sample][:, rows[:, None], rows]
            new = self.method.replace_probabilities(layer, first_head, own.detach(), stream, state)
            if is_whole and new.is_set_to(own):
                continue  # changed in place
            if is_whole:
                probabilities[sample] = new
            else:
                probabilities[sample][:, rows[:, None], rows] = new
        return probabilities


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
