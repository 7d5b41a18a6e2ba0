"""MiniCPM-V 2.6 behind the interface of transformers' own models, whatever code implements its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin, PreTrainedModel

from focal_algorithm.prompts.media.tokens import Tokenizer
from focal_algorithm.prompts.rows import prompt_rows
from focal_algorithm.transformers_versions import cache_in
from focal_common.errors import ConfigError

__all__ = ["MiniCpmVForConditionalGeneration", "VisualMarks"]


@dataclass(frozen=True)
class VisualMarks:
    """Token ids around visual features.

    Attributes:
        image_start: Before an overview. image_end: After it.
        slice_start: Before a slice. slice_end: After it.
        placeholder: Stands for one visual feature.
        newline: After a row of slices and after a picture.
    """

    image_start: int
    image_end: int
    slice_start: int
    slice_end: int
    placeholder: int
    newline: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, where: str) -> VisualMarks:
        """Read the ids from a tokenizer; raises `ConfigError` where a mark is not one token."""
        marks = ("<image>", "</image>", "<slice>", "</slice>", "<unk>", "\n")
        encoded = [tokenizer.encode(mark) for mark in marks]
        for mark, token_ids in zip(marks, encoded, strict=True):
            if len(token_ids) != 1:
                raise ConfigError(
                    f"{where}: the tokenizer makes {len(token_ids)} tokens of {mark!r}; expected 1"
                )
        return cls(*(token_ids[0] for token_ids in encoded))


class MiniCpmVForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Adapts the published interface to ``forward(input_ids, pixel_values, tgt_sizes, ...)`` and `generate`.

    The published class takes one dictionary, whose pixels and places are lists per prompt, and gives embeddings
    through ``get_vllm_embedding``; its decoder is ``llm``, a stock Qwen2 model.

    Args:
        core: The published class from a checkpoint's own code, or a stand-in with the same interface.
        marks: Token ids around visual features.
    """

    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, core: Any, marks: VisualMarks) -> None:
        super().__init__(core.config)
        self.core = core
        self.marks = marks
        if getattr(core, "generation_config", None) is not None:
            self.generation_config = core.generation_config

    def get_decoder(self) -> Any:
        """Return the stack of decoder layers."""
        return self.core.llm.model

    def get_input_embeddings(self) -> Any:
        """Return the token embedding."""
        return self.core.llm.get_input_embeddings()

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tgt_sizes: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **settings: Any,
    ) -> Any:
        """Run a prefill or a decode step.

        Args:
            input_ids: Axes (batch, tokens).
            pixel_values: Strips of patches of all pictures and slices of the batch, zero-padded at the end, axes
                (pictures, channels, patch rows, patches * patch columns).
            tgt_sizes: Rows and columns of patches of each, axes (pictures, 2).
            attention_mask: Axes (batch, tokens).
            position_ids: Axes (batch, tokens).
            inputs_embeds: Instead of ``input_ids``, axes (batch, tokens, hidden).
            settings: Passed to the decoder, the key-value cache among them.
        """
        cache = cache_in(settings)
        cached = 0 if cache is None else cache.get_seq_length()
        if inputs_embeds is None and input_ids is not None:
            if pixel_values is not None and tgt_sizes is not None and not cached:
                inputs_embeds = self._embed(input_ids, pixel_values, tgt_sizes)
            else:
                inputs_embeds = self.get_input_embeddings()(input_ids)
        return self.core.llm(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **settings,
        )

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, is_encoder_decoder: bool = False, input_ids: Any = None, **inputs: Any
    ) -> Any:
        """Copy each prompt for beams: its pictures as one block, where transformers would copy picture by picture."""
        if expand_size > 1 and input_ids is not None and inputs.get("pixel_values") is not None:
            rows = prompt_rows({"input_ids": input_ids}, (self.marks.placeholder,), None)
            blocks = torch.arange(len(inputs["tgt_sizes"])).split([len(row.runs) for row in rows])
            order = torch.cat([block for block in blocks for _ in range(expand_size)])
            pictures = {name: inputs.pop(name)[order] for name in ("pixel_values", "tgt_sizes")}
        else:
            pictures = {}
        input_ids, inputs = super()._expand_inputs_for_generation(
            expand_size=expand_size, is_encoder_decoder=is_encoder_decoder, input_ids=input_ids, **inputs
        )
        return input_ids, inputs | pictures

    def _embed(self, input_ids: Tensor, pixel_values: Tensor, tgt_sizes: Tensor) -> Tensor:
        patch = pixel_values.shape[2]
        pixels: list[list[Tensor]] = []
        sizes: list[Tensor] = []
        bounds: list[Tensor] = []
        seen = 0
        for row in prompt_rows({"input_ids": input_ids}, (self.marks.placeholder,), None):
            own = tgt_sizes[seen : seen + len(row.runs)]
            strips = pixel_values[seen : seen + len(row.runs)]
            pixels.append([s[..., : int(size.prod()) * patch] for s, size in zip(strips, own, strict=True)])
            sizes.append(own)
            bounds.append(torch.tensor([[run.start, run.start + run.tokens] for run in row.runs]).view(-1, 2))
            seen += len(row.runs)
        data = {"input_ids": input_ids, "pixel_values": pixels, "tgt_sizes": sizes, "image_bound": bounds}
        embeddings, _ = self.core.get_vllm_embedding(data)
        return embeddings
