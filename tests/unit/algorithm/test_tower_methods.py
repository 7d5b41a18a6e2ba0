"""Do VisionZip and SparseZip do inside a model what their kernels do outside, and refuse what they cannot do?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import attach_support as support
import focal_algorithm.hooks.session as session_module
import vision_support as vision
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.methods.base import Resequenced
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.sparsezip import SparseZip
from focal_algorithm.prompts.layout import SampleLayout
from focal_algorithm.prompts.vision import find_vision_points
from focal_algorithm.tracing.prompting import Prompt
from focal_common.errors import ConfigError, FocalError, RunError, UnsupportedError
from oracles.token_selection_twin import visionzip

SMALL_ZIP = {"dominant": 8, "contextual": 3}
SMALL_SPARSE = {"dominant": 7, "contextual": 3, "dynamic_k": False}


def compressed(method: Any, inputs: dict[str, Any], attention: str = "sdpa", model: Any = None) -> Any:
    model = model or vision.clip_model(attention)
    with torch.inference_mode(), attach(model, vision.ClipFamily(), method):
        return model(**inputs)


def tower_of(inputs: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Return CLS attention, hidden states and head-mean keys of the last layer but one, the published way."""
    model = vision.clip_model("eager")
    tower = model.model.vision_tower
    with torch.inference_mode():
        seen = tower(inputs["pixel_values"], output_hidden_states=True, output_attentions=True)
        layer = next(m for m in tower.modules() if isinstance(m, torch.nn.ModuleList))[2]
        keys = layer.self_attn.k_proj(layer.layer_norm1(seen.hidden_states[2]))[0]
    return seen.attentions[2][0, :, 0], seen.hidden_states[-2][0], keys.view(len(keys), 4, -1).mean(1)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_compressed_forward_is_a_forward_of_the_short_prompt(attention: str) -> None:
    inputs = vision.clip_inputs()
    received, hidden, keys = tower_of(inputs)
    arrays = [t.double().numpy() for t in (hidden[1:], keys[1:], received[:, 1:].sum(0))]
    kept, merged = visionzip(*arrays, 7, 3)
    rows = torch.cat((hidden[:1], hidden[1:][kept], torch.tensor(merged, dtype=torch.float32)))
    model = vision.clip_model(attention)
    with torch.inference_mode():
        text = model.get_input_embeddings()(inputs["input_ids"][0])
        visual = model.model.multi_modal_projector(rows)
        short = torch.cat((text[:3], visual, text[3 + vision.PATCHES :]))[None]
        expected = model(inputs_embeds=short).logits
    output = compressed(build_method("visionzip", SMALL_ZIP), inputs, attention)
    assert output.logits.shape[1] == 3 + 1 + 7 + 3 + 4
    assert torch.allclose(output.logits, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("visionzip", SMALL_ZIP),
        ("visionzip", {**SMALL_ZIP, "mode": "strict", "text_share": 0.6}),
        ("sparsezip", SMALL_SPARSE),
        ("sparsezip", {**SMALL_SPARSE, "variant": "s2", "cross_beta": 0.3}),
        ("sparsezip", {**SMALL_SPARSE, "variant": "s3", "skip_ctx_merge": True, "text": "projected"}),
        (
            "sparsezip",
            {**SMALL_SPARSE, "starts": "seeded", "tower_layer_offsets": (0, -1), "gates": (0.5, -1.0)},
        ),
        ("sparsezip", {**SMALL_SPARSE, "agglomerative": False, "mode": "strict"}),
        ("sparsezip", {"k_min": 2, "k_max": 9, "contextual": 3, "dominant": 5, "k_rule": "attention_mass"}),
    ],
)
def test_batches_caches_and_single_prompts_agree(name: str, parameters: dict[str, Any]) -> None:
    method = build_method(name, parameters)
    model, adapter = vision.clip_model(), vision.ClipFamily()
    prompts = [vision.clip_inputs(1, text_after=2), vision.clip_inputs(2, text_after=6)]
    pad = torch.nn.functional.pad
    batch = {
        "input_ids": torch.cat([pad(prompts[0]["input_ids"], (4, 0)), prompts[1]["input_ids"]]),
        "attention_mask": torch.cat(
            [pad(prompts[0]["attention_mask"], (4, 0)), prompts[1]["attention_mask"]]
        ),
        "pixel_values": torch.cat([prompt["pixel_values"] for prompt in prompts]),
    }

    def generated(inputs: dict[str, Any], **options: Any) -> Tensor:
        layouts = adapter.layouts(model, inputs)
        settings = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "output_logits": True}
        with torch.inference_mode(), attach(model, adapter, method, layouts=layouts):
            done = model.generate(**inputs, **settings, return_dict_in_generate=True, **options)
        return torch.stack(done.logits, dim=1)

    together = generated(batch)
    assert torch.allclose(together, generated(batch, use_cache=False), atol=1e-4)
    for row, prompt in enumerate(prompts):
        assert torch.allclose(together[row], generated(prompt)[0], atol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(side: str) -> None:
    method = build_method("visionzip", {"dominant": 4, "contextual": 2})
    prompts = [support.prompt(support.video(1), "A"), support.prompt(support.video(2), "Longer")]
    alone = [support.record(method, p.inputs)[0][0].masks for p in prompts]
    batch = support.padded(prompts, side)
    samples, _ = support.record(method, batch, layouts=[p.layout for p in prompts])
    assert [sample.masks for sample in samples] == alone


def test_images_videos_and_plain_text_share_a_batch() -> None:
    method = build_method("visionzip", {"dominant": 4, "contextual": 2})
    text = support.prompt(support.video(5), "A")
    words = torch.arange(1, 9)[None]
    plain = Prompt(
        {"input_ids": words, "attention_mask": torch.ones_like(words)}, SampleLayout("text", 8, 0, 0, None)
    )
    prompts = [
        text,
        plain,
        support.prompt(support.image(3, 70, 140), "Longer"),
        support.prompt(support.video(6), "B"),
    ]
    batch = support.padded(prompts, "left")
    samples, _ = support.record(method, batch, layouts=[p.layout for p in prompts])
    for sample, prompt in zip(samples, prompts, strict=True):
        if prompt.layout.visual_tokens:
            (alone,), _ = support.record(method, prompt.inputs, layouts=[prompt.layout])
            assert sample.masks == alone.masks


def test_keeping_everything_is_the_untouched_model_bit_by_bit() -> None:
    inputs = vision.clip_inputs()
    with torch.inference_mode():
        untouched = vision.clip_model()(**inputs).logits
    for name in ("visionzip", "sparsezip", "sparsevlm"):
        default = build_method(name, {})  # type: ignore[arg-type]
        method = build_method(name, default.study.without_effect(default))  # type: ignore[arg-type]
        assert torch.equal(compressed(method, inputs).logits, untouched)
    everything = {"dominant": vision.PATCHES + 1, "contextual": 0}
    assert torch.equal(compressed(build_method("visionzip", everything), inputs).logits, untouched)
    static = {"dominant": vision.PATCHES, "contextual": 0, "dynamic_k": False}
    assert torch.equal(compressed(build_method("sparsezip", static), inputs).logits, untouched)


@pytest.mark.parametrize(
    "parameters", [SMALL_ZIP, {"dominant": 8, "contextual": 0}, {"dominant": 1, "contextual": 9}]
)
def test_merge_maps_are_total_and_idempotent_and_text_stays(
    parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Resequenced] = []
    real = session_module.compress_pictures

    def spy(*arguments: Any) -> Resequenced | None:
        answer = real(*arguments)
        assert answer is not None
        made.append(answer)
        return answer

    monkeypatch.setattr(session_module, "compress_pictures", spy)
    compressed(build_method("visionzip", parameters), vision.clip_inputs())
    (answer,) = made
    goes_to = answer.merged_into
    assert goes_to is not None
    present = set(answer.rows.tolist())
    assert len(present) == len(answer.rows) == 7 + parameters["dominant"] + parameters["contextual"]
    assert present >= {0, 1, 2, 28, 29, 30, 31}
    for token, target in enumerate(goes_to.tolist()):
        assert target == -1 or (target in present and goes_to[target] == target), token
    assert all(goes_to[token] == token for token in present)


def test_tokens_are_counted_per_picture_with_and_without_cls() -> None:
    recorder = Recorder(
        vision.ClipFamily().points(vision.clip_model()).geometry, build_method("visionzip", SMALL_ZIP), True
    )
    with (
        torch.inference_mode(),
        attach(vision.clip_model(), vision.ClipFamily(), build_method("visionzip", SMALL_ZIP), recorder),
    ):
        vision.clip_model()(**vision.clip_inputs())
    masks = recorder.samples[0].masks
    assert masks is not None
    assert {int((~gemm.is_zero().all(axis=1)).sum()) for gemm in masks.gemms} == {8 + 3}
    # SigLIP has no CLS; four frames of 9 tokens each, and an image of two tiles plus its small version.
    for sample, pictures in ((support.video(), 4), (support.image(0, 70, 140), 3)):
        samples, _ = support.record(
            build_method("visionzip", {"dominant": 4, "contextual": 2}), support.prompt(sample).inputs
        )
        masks = samples[0].masks
        assert masks is not None
        assert int((~masks.gemms[0].is_zero().all(axis=1)).sum()) == pictures * 6


def test_the_summary_shows_whether_a_dynamic_k_moves() -> None:
    method = SparseZip(k_min=2, k_max=9, contextual=1, dominant=5, dynk_c=4.0)
    state = method.start(vision.ClipFamily().points(vision.clip_model()).geometry, support.prompt().layout)
    assert method.study.summary(method, state) == {}
    state.counts += [3, 5]
    assert method.study.summary(method, state) == {"k_mean": 4.0, "k_least": 3, "k_largest": 5}


def test_half_precision_keeps_the_same_kind_of_tokens() -> None:
    model = vision.clip_model().to(torch.bfloat16)
    try:
        inputs = vision.clip_inputs()
        inputs["pixel_values"] = inputs["pixel_values"].to(torch.bfloat16)
        for name, parameters in (("visionzip", SMALL_ZIP), ("sparsezip", SMALL_SPARSE)):
            logits = compressed(build_method(name, parameters), inputs, model=model).logits
            assert logits.dtype == torch.bfloat16
            assert logits.shape[1] == 7 + 11
    finally:
        model.to(torch.float32)
        vision.clip_model.cache_clear()


def test_a_prompt_without_visual_tokens_passes_through() -> None:
    inputs = {"input_ids": torch.tensor([[5, 6, 7]])}
    with torch.inference_mode():
        untouched = vision.clip_model()(**inputs).logits
    for name in ("visionzip", "sparsezip", "sparsevlm"):
        method = build_method(name, {"pruning_layers": ()} if name == "sparsevlm" else {})
        assert torch.equal(compressed(method, inputs).logits, untouched)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "words"),
    [
        ("visionzip", {"dominant": 99}, ConfigError, "98 dominant tokens of a picture with 25"),
        (
            "visionzip",
            {"dominant": 20, "contextual": 9},
            ConfigError,
            "contextual: 9 contextual tokens from the 6",
        ),
        (
            "visionzip",
            {"dominant": 20, "contextual": 6},
            ConfigError,
            "more visual tokens than the 25 there are",
        ),
        (
            "sparsezip",
            {"dominant": 40, "dynamic_k": False},
            ConfigError,
            "40 dominant tokens of a picture with 25",
        ),
        (
            "sparsezip",
            {"tower_layer_offsets": (3,)},
            ConfigError,
            "layer 5 of the vision tower does not exist",
        ),
    ],
)
def test_budgets_that_do_not_fit_are_refused(
    name: str, parameters: dict[str, Any], error: type[FocalError], words: str
) -> None:
    model = vision.clip_model("sdpa")
    with torch.inference_mode():
        model(**vision.clip_inputs())  # the first forward leaves hooks of transformers' own

    def hooks() -> int:
        return sum(len(one._forward_hooks) + len(one._forward_pre_hooks) for one in model.modules())

    before = hooks()
    with pytest.raises(error, match=words):
        compressed(build_method(name, parameters), vision.clip_inputs(), model=model)
    assert hooks() == before


def test_features_that_cannot_be_compared_are_refused_in_one_sentence() -> None:
    inputs = vision.clip_inputs()
    inputs["pixel_values"] = inputs["pixel_values"] * torch.nan
    for name in ("visionzip", "sparsezip"):
        with pytest.raises(RunError, match="vision tower's output holds NaN"):
            compressed(build_method(name, {}), inputs)
    layer: Any = find_vision_points(vision.clip_model("sdpa")).layers[2]
    layer = layer.self_attn.k_proj
    saved = {name: value.clone() for name, value in layer.state_dict().items()}
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    try:
        with pytest.raises(RunError, match="a key of the vision tower is all zero"):
            compressed(build_method("visionzip", SMALL_ZIP), vision.clip_inputs())
        # A guarded norm makes all-zero keys alike instead.
        strict = build_method("visionzip", {**SMALL_ZIP, "mode": "strict"})
        assert np.isfinite(compressed(strict, vision.clip_inputs()).logits.numpy()).all()
        logits = compressed(build_method("sparsezip", SMALL_SPARSE), vision.clip_inputs()).logits
        assert np.isfinite(logits.numpy()).all()
    finally:
        layer.load_state_dict(saved)


def test_towers_that_cannot_give_attention_are_refused() -> None:
    method = build_method("visionzip", {})
    model = vision.clip_model(strategy="full")
    with (
        pytest.raises(UnsupportedError, match="expected 'default'"),
        attach(model, vision.ClipFamily(), method),
    ):
        pass

    class Blind(vision.ClipFamily):
        def vision_points(self, model: Any) -> Any:
            return find_vision_points(torch.nn.Linear(2, 2))

    with (
        pytest.raises(UnsupportedError, match="has no vision tower"),
        attach(vision.clip_model(), Blind(), method),
    ):
        pass


def test_pixels_that_the_tower_never_saw_are_missed() -> None:
    model, adapter = vision.clip_model(), vision.ClipFamily()
    inputs = vision.clip_inputs()
    with torch.inference_mode():
        embeddings = model.get_input_embeddings()(inputs["input_ids"])
    method = build_method("visionzip", SMALL_ZIP)
    with (
        torch.inference_mode(),
        attach(model, adapter, method, layouts=adapter.layouts(model, inputs)),
        pytest.raises(UnsupportedError, match="the prompts hold 1 pictures but the vision tower saw 0"),
    ):
        model(inputs_embeds=embeddings)
