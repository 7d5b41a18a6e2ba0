"""Are 8-bit linear layers what they claim, and never a silent substitute?"""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import nn

from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.checkpoints.quantization import (
    OUTLIER_THRESHOLD,
    Int8Linear,
    quantize,
    stock_quantization,
)
from focal_common.errors import ConfigError, UnsupportedError


def layer(inputs: int = 40, outputs: int = 24, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias)


def reference(linear: nn.Linear, values: torch.Tensor) -> torch.Tensor:
    """LLM.int8() number by number, in double precision."""
    weight, rows = linear.weight.double(), values.double()
    result = torch.zeros(len(rows), len(weight), dtype=torch.float64)
    outliers = [c for c in range(rows.shape[1]) if (rows[:, c].abs() >= OUTLIER_THRESHOLD).any()]
    inner = [c for c in range(rows.shape[1]) if c not in outliers]
    for o, w in enumerate(weight):
        step_w = w.abs().max() / 127
        codes_w = (w / step_w).round()
        for r, x in enumerate(rows):
            step_x = x[inner].abs().max() / 127
            codes_x = (x[inner] / step_x).round()
            result[r, o] = (codes_x * codes_w[inner]).sum() * step_x * step_w
            result[r, o] += (x[outliers] * codes_w[outliers] * step_w).sum()
    return result + linear.bias.double()


@pytest.mark.parametrize("outliers", [0, 3])
def test_the_layer_is_llm_int8(outliers: int) -> None:
    linear = layer()
    values = torch.randn(7, 40, generator=torch.Generator().manual_seed(1)).clamp(-4, 4)
    values[2, :outliers] = 9.0
    found = Int8Linear.of(linear)(values)
    assert torch.allclose(found.double(), reference(linear, values), atol=2e-5)
    assert (found - linear(values)).abs().max() < 0.1


def test_the_layer_keeps_axes_dtype_and_empty_inputs() -> None:
    quantised = Int8Linear.of(layer(bias=False).to(torch.bfloat16))
    assert quantised.weight.dtype == torch.int8
    assert quantised(torch.randn(2, 3, 40, dtype=torch.bfloat16)).shape == (2, 3, 24)
    assert quantised(torch.zeros(1, 40, dtype=torch.bfloat16)).abs().max() == 0
    assert quantised(torch.empty(0, 40, dtype=torch.bfloat16)).shape == (0, 24)


def test_gradients_do_not_pass_in_silence_where_rounding_stops_them() -> None:
    quantised, values = Int8Linear.of(layer()), torch.randn(7, 40, requires_grad=True)
    with pytest.raises(UnsupportedError, match="8-bit quantisation replaces activations"):
        quantised(values).sum().backward()


def test_all_linear_layers_but_the_head_are_replaced_and_the_label_says_how() -> None:
    loaded = load_model(
        "llava_onevision", size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )
    label = quantize(loaded.model, "int8", "cpu")
    assert label.startswith("int8: ")
    assert "torch" in label
    kept = [name for name, module in loaded.model.named_modules() if type(module) is nn.Linear]
    assert kept == ["lm_head"]
    layers = loaded.adapter.points(loaded.model).layers
    assert isinstance(layers[0].down_proj, Int8Linear)


def test_float_changes_nothing_and_says_nothing() -> None:
    model = nn.Sequential(layer())
    assert quantize(model, "float", "cpu") == ""
    assert type(model[0]) is nn.Linear


def test_no_other_arithmetic_is_taken_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(layer())
    with pytest.raises(ConfigError, match="did you mean 'int8'"):
        quantize(model, "int9", "cpu")
    for precision, kind in (("int8", "mps"), ("int8", "cuda"), ("nf4", "cpu")):
        with pytest.raises(UnsupportedError, match="as they are read from files"):
            quantize(model, precision, kind)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for precision, kind in (("int8", "cuda"), ("nf4", "cpu")):
        with pytest.raises(UnsupportedError, match="needs bitsandbytes"):
            stock_quantization(precision, kind, torch.bfloat16)
    assert stock_quantization("int8", "cpu", torch.float32) == {}
    assert type(model[0]) is nn.Linear
