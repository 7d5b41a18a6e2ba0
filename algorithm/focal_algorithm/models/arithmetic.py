"""Names of what a model computes in and with, and what transformers and its users call the same."""

from __future__ import annotations

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

PRECISIONS = ("float", "int8", "nf4")
"""Of linear layers: ``float`` leaves them in the model's dtype; ``nf4`` keeps weights in 4 bits (Dettmers et al.,
NeurIPS 2023, sec. 3)."""

ATTENTIONS = ("sdpa", "eager", "flash_attention_2")
"""Attention functions that can show their operands."""

_OTHER_NAMES = {
    **{"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"},
    **{"8bit": "int8", "4bit": "nf4", "flash": "flash_attention_2"},
}


def our_name(text: str) -> str:
    """Return the name here of a dtype, a precision or an attention function; what is not known stays as it is."""
    return _OTHER_NAMES.get(text, text)
