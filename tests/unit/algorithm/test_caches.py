"""A cache knows what was dropped from it: copies, cuts, later turns, other blocks, and the way back to the prompt."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

import attach_support as support
import focal
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.hooks.recorder import Recorder
from focal_algorithm.transformers_versions import cache_name, cache_of
from focal_common.errors import ConfigError, RunError, UnsupportedError

NEXT = torch.tensor([[70]])


def attached(name: str) -> Any:
    loaded = support.tiny()
    return attach(loaded.model, loaded.adapter, support.suited(name))


def prefill(question: str = "What?", **options: Any) -> Any:
    with torch.inference_mode():
        return support.tiny().model(
            **support.prompt(support.video(1), question).inputs, use_cache=True, **options
        )


def step(cache: Any, token_ids: Tensor = NEXT, **options: Any) -> Tensor:
    with torch.inference_mode():
        found: Tensor = support.tiny().model(input_ids=token_ids, **{cache_name(): cache}, **options).logits
    return found


@pytest.mark.parametrize("name", ["focus", "sparsevlm", "visionzip", "framefusion", "fastv"])
def test_two_prompts_may_be_continued_in_turns_and_from_copies(name: str) -> None:
    with attached(name):
        first, second = cache_of(prefill("A")), cache_of(prefill("A longer one"))
        copied = copy.deepcopy(first)
        alone = step(copied)
        assert torch.equal(step(second), step(cache_of(prefill("A longer one"))))
        assert torch.equal(step(first), alone)


def test_a_cut_cache_is_that_of_the_shorter_prompt() -> None:
    with attached("visionzip"):
        whole = cache_of(prefill())
        want = step(copy.deepcopy(whole))
        step(whole, torch.tensor([[70, 71, 72]]))
        shown = whole.get_seq_length()
        whole.crop(-3)
        assert whole.get_seq_length() == shown - 3
        assert torch.equal(step(whole), want)


def test_layer_0_says_how_many_tokens_it_was_shown_and_is_a_plain_layer_after_reset() -> None:
    with attached("visionzip"):
        cache = cache_of(prefill())
        prompt_tokens = support.prompt(support.video(1)).layout.sequence_tokens
        assert cache.get_seq_length() == prompt_tokens > held_tokens(cache, 0)
        want = step(copy.deepcopy(cache))
        cache.reset()
        assert cache.get_seq_length() == 0
        prefill(**{cache_name(): cache})
        assert torch.equal(step(cache), want)


@pytest.mark.parametrize("name", ["focus", "visionzip"])
def test_a_shortened_cache_is_of_no_use_outside_its_block(name: str) -> None:
    with attached(name):
        cache = cache_of(prefill())
    with pytest.raises(
        UnsupportedError, match=f"{name} dropped tokens from this cache, and is attached no longer"
    ):
        step(cache)
    with attached(name), pytest.raises(UnsupportedError, match="filled inside another 'with' block"):
        step(cache)
    read = pickle.loads(pickle.dumps(cache))
    with (
        attached(name),
        pytest.raises(UnsupportedError, match="did not see how this DynamicCache was filled"),
    ):
        step(read)


def test_a_decode_step_that_masks_other_tokens_of_the_prompt_is_refused() -> None:
    with attached("focus"):
        cache = cache_of(prefill())
        mask = torch.ones(1, support.prompt().layout.sequence_tokens + 1, dtype=torch.int64)
        mask[0, 3] = 0
        with pytest.raises(UnsupportedError, match="must repeat that of the prefill"):
            step(cache, attention_mask=mask)
        with pytest.raises(UnsupportedError, match="must repeat that of the prefill"):
            step(cache, attention_mask=mask[:, :20])


def test_rows_that_are_no_longer_those_of_the_prefill_are_refused() -> None:
    loaded = support.tiny()
    batch = support.padded(
        [support.prompt(support.video(1), "A"), support.prompt(support.video(2), "B")], "left"
    )
    with torch.inference_mode(), attached("visionzip"):
        cache = cache_of(loaded.model(**batch, use_cache=True))
        cache.batch_select_indices(torch.tensor([0]))
        cache.batch_repeat_interleave(3)
        with pytest.raises(UnsupportedError, match="filled by 2 prompts and is continued by 3 rows"):
            step(cache, NEXT.expand(3, 1))


def test_rows_in_another_order_are_refused_though_their_padding_is_alike() -> None:
    loaded = support.tiny()
    batch = support.padded(
        [support.prompt(support.video(1), "A"), support.prompt(support.video(2), "B")], "left"
    )
    with torch.inference_mode(), attached("framefusion"):
        cache = cache_of(loaded.model(**batch, use_cache=True))
        cache.reorder_cache(torch.tensor([0, 1]))
        step(copy.deepcopy(cache), NEXT.expand(2, 1))
        cache.batch_select_indices(torch.tensor([1, 0]))
        with pytest.raises(UnsupportedError, match=r"but of prompts \[1, 0\]"):
            step(cache, NEXT.expand(2, 1))


@pytest.mark.parametrize("name", ["focus", "visionzip"])
def test_a_cut_into_the_pictures_is_refused_and_an_emptied_cache_starts_anew(name: str) -> None:
    text = torch.tensor([list(b"only text")])
    with attached(name):
        want = step(cache_of(prefill()), text)
        cache = cache_of(prefill())
        step(cache, NEXT)
        most = 1 + support.prompt(support.video(1)).layout.query_tokens
        with pytest.raises(
            UnsupportedError, match=f"last {most + 1} tokens .* expected at most {most}, those after"
        ):
            copy.deepcopy(cache).crop(-most - 1)
        copy.deepcopy(cache).crop(-most)
        cache.crop(-cache.get_seq_length())
        assert torch.equal(step(cache, text), step(DynamicCache(), text))
        cache.reset()
        prefill(**{cache_name(): cache})
        assert torch.equal(step(cache, text), want)
        cache.reset()
        assert torch.equal(step(cache, text.expand(2, -1))[:1], step(DynamicCache(), text))
        step(cache, NEXT.expand(2, 1))  # two prompts, where there was one


def test_a_prefill_that_fails_on_a_used_cache_leaves_it_to_nobody() -> None:
    layer = support.tiny().model.get_decoder().layers[2]
    with attached("visionzip"):
        cache = cache_of(prefill())
        cache.reset()

        def fail(*_: Any) -> None:
            raise KeyError("in the middle")

        handle = layer.register_forward_pre_hook(fail)
        with pytest.raises(KeyError):
            prefill("Another?", **{cache_name(): cache})
        handle.remove()
        with pytest.raises(UnsupportedError, match="by a prefill that failed"):
            step(cache)


@pytest.mark.parametrize("name", ["focus", "visionzip"])
def test_masks_of_decode_steps_that_shortened_layers_cannot_follow_are_refused(name: str) -> None:
    loaded = support.tiny()
    batch = support.padded(
        [support.prompt(support.video(1), "A"), support.prompt(support.video(2), "Longer")], "left"
    )
    mask, tokens = batch["attention_mask"], torch.tensor([[256, 70], [70, 71]])
    with torch.inference_mode(), attached(name):
        cache = cache_of(loaded.model(**batch, use_cache=True))
        refused = [
            (torch.cat([mask, torch.tensor([[0, 1], [1, 1]])], 1), "no padding after the prompt"),
            (None, "onto padded prompts needs an attention_mask"),
            (torch.zeros(2, 1, 2, mask.shape[1] + 2), "masks prepared beforehand"),
        ]
        for given, reason in refused:
            with pytest.raises(UnsupportedError, match=reason):
                step(copy.deepcopy(cache), tokens, attention_mask=given)


@pytest.mark.parametrize("name", ["focus", "visionzip", "dense"])
def test_a_copy_of_a_model_made_inside_the_block_is_refused_and_one_made_outside_is_not(name: str) -> None:
    loaded = support.tiny()
    inputs = support.prompt().inputs
    with torch.inference_mode(), attached(name):
        want = loaded.model(**inputs).logits
        inside = copy.deepcopy(loaded.model)
    for use in (inside, inside.model, inside.get_decoder().layers[0], inside.generate):
        with torch.inference_mode(), pytest.raises(UnsupportedError, match="this model is a copy of one"):
            use(**inputs)
    outside = copy.deepcopy(loaded.model)
    with torch.inference_mode(), attach(outside, loaded.adapter, support.suited(name)):
        assert torch.equal(outside(**inputs).logits, want)


def test_an_attention_function_set_inside_the_block_is_refused() -> None:
    model = support.tiny().model
    stock = model.config.get_text_config()._attn_implementation
    with attached("focus"):
        model.set_attn_implementation("eager")
        with pytest.raises(UnsupportedError, match="'eager' was set while a method is attached"):
            prefill()
    model.set_attn_implementation(stock)


def test_beams_of_a_prompt_of_embeddings_share_its_layout() -> None:
    loaded, prompt = support.tiny(), support.prompt()
    shown: dict[str, Tensor] = {}

    def keep(_module: nn.Module, _args: Any, inputs: dict[str, Any]) -> None:
        shown.setdefault("inputs_embeds", inputs["inputs_embeds"][:1].clone())

    handle = loaded.model.get_decoder().register_forward_pre_hook(keep, with_kwargs=True)
    with attached("focus"):
        want = support.generate(prompt.inputs, num_beams=2)
    handle.remove()
    given = {**shown, "attention_mask": prompt.inputs["attention_mask"]}
    recorder = Recorder(loaded.geometry, support.suited("focus"))
    with attach(loaded.model, loaded.adapter, support.suited("focus"), recorder, layouts=[prompt.layout]):
        got = support.generate(given, num_beams=2)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(got.logits, want.logits, strict=True))
    assert len(recorder.samples) == 1


def test_what_a_refused_call_asked_for_is_forgotten() -> None:
    model = support.tiny().model
    with torch.inference_mode(), attached("focus"):
        with pytest.raises(UnsupportedError, match="logits_to_keep"):
            prefill(logits_to_keep=torch.tensor([0]))
        model.model(**support.prompt().inputs)


def test_a_failed_forward_leaves_nothing_behind() -> None:
    loaded = support.tiny()
    method = support.suited("visionzip")
    recorder = Recorder(loaded.geometry, method)
    layer = loaded.model.get_decoder().layers[2]
    with attach(loaded.model, loaded.adapter, method, recorder) as session:
        want = prefill().logits

        def fail(*_: Any) -> None:
            raise KeyError("in the middle")

        handle = layer.register_forward_pre_hook(fail)
        half_filled = DynamicCache()
        with pytest.raises(KeyError):
            prefill(**{cache_name(): half_filled})
        handle.remove()
        with pytest.raises(UnsupportedError, match="by a prefill that failed"):
            step(half_filled)
        with pytest.raises(RunError, match="no positions"):
            session.positions()
        assert torch.equal(prefill().logits, want)
    assert len(recorder.samples) == 2


@pytest.mark.parametrize("name", ["focus", "sparsevlm", "visionzip", "framefusion", "fastv", "dense"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_lead_from_shortened_tensors_back_to_the_prompt(name: str, side: str) -> None:
    loaded = support.tiny()
    prompts = [support.prompt(support.video(1), "A"), support.prompt(support.video(2), "Another one")]
    batch = support.padded(prompts, side)
    layers = loaded.geometry.layers
    with torch.inference_mode(), attached(name) as session:
        out = loaded.model(**batch, use_cache=True, output_hidden_states=True)
        cache = cache_of(out)
        for layer in range(layers):
            assert session.positions(layer).shape[1] == held_tokens(cache, layer)
        for entry, hidden in enumerate(out.hidden_states):
            assert session.positions(entry, of="hidden_states").shape == hidden.shape[:2]
        places = session.positions()
        assert places.shape == out.logits.shape[:2]
        for row, one in enumerate(prompts):
            # Each prompt alone gives the same logits at the same tokens of the prompt.
            alone = loaded.model(**one.inputs).logits[0]
            columns = session.positions()[0]
            start = batch["input_ids"].shape[1] - one.layout.sequence_tokens if side == "left" else 0
            is_real = places[row] >= 0
            assert torch.equal(places[row][is_real] - start, columns)
            assert torch.allclose(out.logits[row][is_real], alone, atol=1e-5)
            assert (
                int(places[row].max()) == start + one.layout.sequence_tokens - 1
            )  # the last is never dropped
        with pytest.raises(ConfigError, match=f"layer: got {layers}; expected 0 to {layers - 1}"):
            session.positions(layers)
        with pytest.raises(ConfigError, match="expected keys or hidden_states"):
            session.positions(0, of="logits")


def test_a_kept_tensor_is_that_of_its_position() -> None:
    """Where a method only selects, the first layer's values are those of the untouched model at these positions."""
    with torch.inference_mode():
        whole = cache_of(prefill()).layers[0].values
    with attached("divprune") as session:
        kept = cache_of(prefill()).layers[0].values
        columns = session.positions(0)[0]
    assert len(columns) < whole.shape[2]
    assert torch.allclose(kept, whole[:, :, columns], atol=1e-5)


class _Wrapped(nn.Module):
    """Calls ``forward`` of the model past its hooks, as PEFT does."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inside = model

    def get_base_model(self) -> Any:
        return self.inside

    def forward(self, *args: Any, **inputs: Any) -> Any:
        return self.inside.forward(*args, **inputs)


@pytest.mark.parametrize("name", ["focus", "visionzip"])
def test_a_model_inside_peft_is_found(name: str) -> None:
    wrapped = _Wrapped(support.tiny().model).eval()
    inputs = support.prompt(support.video(1)).inputs
    with torch.inference_mode(), focal.compress(wrapped, support.suited(name)) as run:
        assert torch.equal(wrapped(**inputs).logits, prefill().logits)
    assert len(run) == 2
    with (
        torch.inference_mode(),
        focal.compress(wrapped, support.suited(name)),
        pytest.raises(UnsupportedError, match="leave labels out"),
    ):
        wrapped(**inputs, labels=inputs["input_ids"])


def test_compiled_models_are_refused() -> None:
    loaded, method = support.tiny(), support.suited("dense")
    compiled = torch.compile(loaded.model, backend="eager")
    with (
        pytest.raises(UnsupportedError, match="the model is compiled with torch"),
        attach(compiled, loaded.adapter, method),
    ):
        pass
    inputs = support.prompt(support.video(1)).inputs
    with (
        torch.inference_mode(),
        attach(loaded.model, loaded.adapter, method),
        pytest.raises(UnsupportedError, match="this forward runs under torch"),
    ):
        compiled(**inputs)
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"prefill_chunk_size": 32}, "prefill_chunk_size splits the prompt"),
        ({"assistant_early_exit": 2}, "to draft for itself"),
    ],
)
def test_settings_of_generate_that_cannot_be_exact_are_refused_wherever_they_are_made(
    options: dict[str, Any], reason: str
) -> None:
    model, inputs = support.tiny().model, support.prompt().inputs
    with attached("focus"), pytest.raises(UnsupportedError, match=reason):
        model.generate(**inputs, max_new_tokens=2, **options)
    settings = copy.deepcopy(model.generation_config)
    settings.update(**options)
    with attached("focus"), pytest.raises(UnsupportedError, match=reason):
        model.generate(**inputs, generation_config=settings)
    assert "generate" not in vars(model)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"attention_mask": 0}, "a row of attention_mask is all zeros"),
        ({"input_ids": 1, "attention_mask": 1}, "expected at least one token"),
    ],
    ids=["mask", "ids"],
)
def test_a_prompt_without_tokens_is_one_sentence(change: dict[str, int], reason: str) -> None:
    inputs = dict(support.prompt().inputs)
    for name, kind in change.items():
        inputs[name] = inputs[name][:, :0] if kind else torch.zeros_like(inputs[name])
    with torch.inference_mode(), attached("focus"), pytest.raises(UnsupportedError, match=reason):
        support.tiny().model(**inputs)


def test_placeholders_without_pixels_are_refused() -> None:
    inputs = dict(support.prompt().inputs)
    del inputs["pixel_values_videos"]
    with (
        torch.inference_mode(),
        attached("dense"),
        pytest.raises(UnsupportedError, match="the forward was given no pixels"),
    ):
        support.tiny().model(**inputs)


@pytest.mark.parametrize("name", ["visionzip", "divprune", "framefusion"])
def test_positions_given_at_a_decode_step_are_those_that_follow_or_refused(name: str) -> None:
    tokens = support.prompt(support.video(1)).layout.sequence_tokens
    with attached(name):
        cache = cache_of(prefill())
        want = step(copy.deepcopy(cache))
        right = torch.tensor([[tokens]])
        assert torch.equal(step(copy.deepcopy(cache), position_ids=right), want)
        with pytest.raises(UnsupportedError, match="expected those that follow the prompt"):
            step(cache, position_ids=right + 500)
