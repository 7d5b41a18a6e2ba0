"""MiniCPM-V 2.6 behind the interface of transformers' own models, whatever code implements its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, GenerationMixin, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.models.idefics2.configuration_idefics2 import Idefics2VisionConfig
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer

from focal_algorithm.models.sizes import IMAGE_TOKEN
from focal_algorithm.prompts.layout import prompt_rows
from focal_algorithm.prompts.media.tokens import ByteTokenizer, Tokenizer, checkpoint_tokenizer
from focal_algorithm.transformers_versions import cache_in
from focal_common.errors import ConfigError


class MiniCpmVConfig(Qwen2Config):
    """Decoder settings, with ``vision_config``, ``query_num`` and ``slice_config`` beside them."""

    model_type = "minicpmv"


class Resampler(nn.Module):
    """Learned queries gather the patches of a picture by cross-attention (Qwen-VL, arXiv 2308.12966, sec. 2.1).

    Args:
        queries: Visual tokens per picture.
        hidden: Width of the decoder; a multiple of 4.
        vision_hidden: Width of the tower.
        heads: Attention heads.
    """

    def __init__(self, queries: int, hidden: int, vision_hidden: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(queries, hidden) * 0.02)
        self.kv_proj = nn.Linear(vision_hidden, hidden, bias=False)
        self.attn = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.ln_q, self.ln_kv, self.ln_post = (nn.LayerNorm(hidden) for _ in range(3))
        self.proj = nn.Linear(hidden, hidden, bias=False)

    def forward(self, features: Tensor, rows: int, columns: int) -> Tensor:
        """Return one picture's tokens, axes (queries, hidden), from its patches, axes (patches, vision_hidden)."""
        values = self.ln_kv(self.kv_proj(features))
        keys = values + _sine_positions(rows, columns, values.shape[1]).to(values)
        gathered, _ = self.attn(self.ln_q(self.query)[None], keys[None], values[None], need_weights=False)
        return self.proj(self.ln_post(gathered[0]))


class StandInMiniCpmV(PreTrainedModel):
    """A stand-in for the code of a checkpoint, put together from transformers' own parts.

    It has the interface and the module names of the published class (``vpm``, ``resampler``, ``llm``), so that the
    adapter can be tried without running foreign code. It does not claim to compute what that class computes.
    """

    config_class = MiniCpmVConfig
    _supports_sdpa = True

    def __init__(self, config: MiniCpmVConfig) -> None:
        super().__init__(config)
        tower = Idefics2VisionConfig(**config.vision_config, attn_implementation="eager")
        self.llm = Qwen2ForCausalLM(config)
        self.vpm = Idefics2VisionTransformer(tower)
        self.resampler = Resampler(
            config.query_num, config.hidden_size, tower.hidden_size, config.num_attention_heads
        )
        self.post_init()

    def get_vllm_embedding(self, data: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
        """Return embeddings of text and pictures, axes (batch, tokens, hidden), and the pictures' alone."""
        embeddings = self.llm.model.embed_tokens(data["input_ids"])
        features = []
        for row, (strips, sizes) in enumerate(zip(data["pixel_values"], data["tgt_sizes"], strict=True)):
            own = [self._picture(strip, *size) for strip, size in zip(strips, sizes.tolist(), strict=True)]
            features.append(torch.stack(own) if own else embeddings.new_zeros(0))
            for picture, (start, stop) in zip(own, data["image_bound"][row].tolist(), strict=True):
                embeddings[row, start:stop] = picture.to(embeddings)
        return embeddings, features

    def forward(self, data: dict[str, Any], **settings: Any) -> Any:
        """Run the decoder on `get_vllm_embedding`."""
        embeddings, _ = self.get_vllm_embedding(data)
        return self.llm(inputs_embeds=embeddings, position_ids=data["position_ids"], **settings)

    def _picture(self, strip: Tensor, rows: int, columns: int) -> Tensor:
        channels, patch, _ = strip.shape
        pixels = strip.view(channels, patch, rows, columns, patch).transpose(1, 2)
        pixels = pixels.reshape(1, channels, rows * patch, columns * patch)
        is_patch = torch.ones(1, rows, columns, dtype=torch.bool, device=strip.device)
        features = self.vpm(pixels, patch_attention_mask=is_patch).last_hidden_state[0]
        return self.resampler(features, rows, columns)


def _sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """Return sines and cosines of row and column, axes (patches, width)."""
    frequencies = 10000.0 ** (-torch.arange(width // 4) / (width / 4))
    axes = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [axis.reshape(-1, 1) * frequencies for axis in axes]
    return torch.cat([function(angle) for angle in angles for function in (torch.sin, torch.cos)], dim=1)


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


def mark_tokenizer() -> Tokenizer:
    """Return bytes with one token per mark, for models with random weights."""
    marks = ("<unk>", "<image>", "</image>", "<slice>", "</slice>")
    return ByteTokenizer({mark: IMAGE_TOKEN + place for place, mark in enumerate(marks)})


class MiniCpmVForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Adapts the published interface to ``forward(input_ids, pixel_values, tgt_sizes, ...)`` and `generate`.

    The published class takes one dictionary, whose pixels and places are lists per prompt, and gives embeddings
    through ``get_vllm_embedding``; its decoder is ``llm``, a stock Qwen2 model.

    Args:
        config: Configuration of the decoder and what stands beside it.
        core: The published class from a checkpoint's own code; None for a stand-in with the same interface.
        marks: Token ids around visual features; None for those of `mark_tokenizer`.
    """

    config_class = MiniCpmVConfig
    runs_checkpoint_code = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: Any, core: Any = None, marks: VisualMarks | None = None) -> None:
        super().__init__(config)
        self.core = StandInMiniCpmV(config) if core is None else core
        self.is_quantized = getattr(self.core, "is_quantized", False)
        self.marks = marks or VisualMarks.of(mark_tokenizer(), "minicpm_v")
        self.config.image_token_id = self.marks.placeholder
        if getattr(self.core, "generation_config", None) is not None:
            self.generation_config = self.core.generation_config

    @classmethod
    def from_pretrained(cls, location: str, **settings: Any) -> MiniCpmVForConditionalGeneration:
        """Load a checkpoint, and run the code it brings; the caller has been allowed to."""
        core = AutoModel.from_pretrained(location, trust_remote_code=True, **settings)
        tokenizer = checkpoint_tokenizer(
            location, settings["local_files_only"], trust_remote_code=True, otherwise=mark_tokenizer()
        )
        return cls(core.config, core, VisualMarks.of(tokenizer, location))

    def get_decoder(self) -> Any:
        """Return the stack of decoder layers."""
        return self.core.llm.model

    def get_input_embeddings(self) -> Any:
        """Return the token embedding."""
        return self.core.llm.get_input_embeddings()

    def get_output_embeddings(self) -> Any:
        """Return the language-model head."""
        return self.core.llm.get_output_embeddings()

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
