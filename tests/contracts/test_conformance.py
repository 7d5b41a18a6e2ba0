"""Is every method lawful in every family, attention, dtype and padding, as seen from the model's own layers?"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import attach_support as support
from contracts.conformance import (
    CASES,
    FIRST_PAIRS,
    PADDED_CASES,
    PAIRS,
    REFUSALS,
    SIDED_PAIRS,
    TRACED_PAIRS,
    layers_of,
    method_of,
    model_of,
    present_tokens,
    prompt_of,
    refusal,
    run,
)
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.attention import SESSIONS
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, changes_length, hook_points
from focal_algorithm.methods.build import build_method
from focal_algorithm.runner import RunSettings
from focal_algorithm.runner import run as run_trace
from focal_algorithm.transformers_versions import cache_of

POINT_OF = {
    "q_proj": "layer_input",
    "o_proj": "layer_input",
    "gate_proj": "after_attention",
    "down_proj": "after_attention",
}


def accepted(name: str, subject: str) -> CompressionMethod:
    """Return the method, or skip with its reason where it refuses the family's prompts."""
    reason = refusal(name, subject)
    if reason:
        pytest.skip(f"refused: {reason}")
    return method_of(name, model_of(subject))


@pytest.mark.parametrize(("name", "subject"), PAIRS)
def test_a_pair_works_or_is_refused_for_the_known_reason(name: str, subject: str) -> None:
    assert bool(refusal(name, subject)) == ((name, subject) in REFUSALS)


@pytest.mark.parametrize(("name", "subject", "attention", "dtype", "padding"), PADDED_CASES)
def test_without_strength_the_logits_are_those_of_the_untouched_model_to_the_bit(
    name: str, subject: str, attention: str, dtype: str, padding: str
) -> None:
    accepted(name, subject)
    loaded = model_of(subject, attention, dtype)
    default = build_method(name, {})
    none = default.study.without_effect(default)
    if not none and hook_points(default):
        pytest.skip(f"{name} names no parameters without effect")
    method = build_method(name, none)
    prompts = [prompt_of(subject, loaded, 1, "A")]
    if padding != "alone":
        prompts.append(prompt_of(subject, loaded, 2, "Longer"))
    inputs = prompts[0].inputs if padding == "alone" else support.padded(prompts, padding)
    with torch.inference_mode():
        untouched = loaded.model(**inputs).logits
    _, output, _ = run(loaded, method, prompts, padding)
    for row, prompt in enumerate(prompts):
        tokens = prompt.layout.sequence_tokens
        real = slice(-tokens, None) if padding == "left" else slice(0, tokens)
        assert torch.equal(output.logits[row, real], untouched[row, real])


@pytest.mark.parametrize(("name", "subject", "attention", "dtype"), CASES)
def test_records_agree_with_what_the_linear_layers_were_given(
    name: str, subject: str, attention: str, dtype: str
) -> None:
    method = accepted(name, subject)
    loaded = model_of(subject, attention, dtype)
    prompt = prompt_of(subject, loaded)
    (sample,), output, probe = run(loaded, method, [prompt])
    present = present_tokens(sample)
    start, stop = prompt.layout.visual_start, prompt.layout.visual_stop
    text = {*range(start), *range(stop, prompt.layout.sequence_tokens)}
    assert sample.masks is not None
    for (layer, gemm), values in probe.inputs.items():
        tokens = present[layer, POINT_OF[gemm]]
        assert tokens == sorted(set(tokens))
        assert text <= set(tokens)
        assert values.shape[1] == len(tokens)
        is_visual = [start <= token < stop for token in tokens]
        places = [token - start for token in tokens if start <= token < stop]
        masks = sample.masks.gemm(layer, gemm)
        slices = masks.slices
        padding = slices * method.vector_size - values.shape[2]
        vectors = torch.nn.functional.pad(values[0, is_visual], (0, padding)).unflatten(1, (slices, -1))
        is_zero = torch.ones(prompt.layout.visual_tokens, slices, dtype=torch.bool)
        is_zero[places] = (vectors == 0).all(dim=2)
        assert torch.equal(torch.from_numpy(masks.is_zero()), is_zero)
        group = torch.from_numpy(sample.masks.group_index(layer, gemm))[places]
        is_similar = torch.from_numpy(masks.is_similar())[places]
        # Vectors of one group hold the same numbers, which is what an accelerator relies on.
        same, number = torch.unique(group[is_similar], return_inverse=True)
        first = torch.zeros(len(same), dtype=torch.int64)
        shown = vectors[is_similar]
        first[number.flip(0)] = torch.arange(len(shown)).flip(0)
        assert torch.equal(shown, shown[first[number]])
    cache = cache_of(output)
    for layer in range(len(layers_of(loaded))):
        assert cache.get_seq_length(layer) == len(present[layer, "layer_input"])


@pytest.mark.parametrize(("name", "subject"), PAIRS)
def test_counts_of_tokens_are_those_of_the_maps(name: str, subject: str) -> None:
    method = accepted(name, subject)
    loaded = model_of(subject)
    prompt = prompt_of(subject, loaded)
    (sample,), _, _ = run(loaded, method, [prompt])
    present = present_tokens(sample)
    start, stop = prompt.layout.visual_start, prompt.layout.visual_stop
    for record in sample.records:
        if record.kind in ("tokens", "visual_tokens"):
            tokens = present[record.layer, record.point]
            if record.kind == "visual_tokens":
                tokens = [token for token in tokens if start <= token < stop]
            assert record.value.tolist() == [len(tokens)]
        if record.kind == "map":  # idempotent: a representative stands for itself
            stands = dict(zip(record.index.tolist(), record.value.tolist(), strict=True))
            assert all(stands[to] == to for to in stands.values() if to >= 0)
    if changes_length(method):
        assert len(present[max(present)]) < prompt.layout.sequence_tokens


@pytest.mark.parametrize(("name", "subject", "side"), SIDED_PAIRS)
def test_padding_changes_no_decision(name: str, subject: str, side: str) -> None:
    method = accepted(name, subject)
    loaded = model_of(subject)
    prompts = [prompt_of(subject, loaded, 1, "A"), prompt_of(subject, loaded, 2, "Longer")]
    together, output, _ = run(loaded, method, prompts, side)
    kept = []
    for sample, prompt in zip(together, prompts, strict=True):
        (alone,), _, _ = run(loaded, method, [prompt])
        maps = [record for record in sample.records if record.kind == "map"]
        assert maps == [record for record in alone.records if record.kind == "map"]
        kept.append(present_tokens(sample))
    for layer in range(len(layers_of(loaded))):
        longest = max(len(present[layer, "layer_input"]) for present in kept)
        whole = max(prompt.layout.sequence_tokens for prompt in prompts)
        assert cache_of(output).get_seq_length(layer) in (longest, whole)


@pytest.mark.parametrize(("name", "subject"), FIRST_PAIRS)
def test_decoding_agrees_with_and_without_a_cache(name: str, subject: str) -> None:
    method = accepted(name, subject)
    loaded = model_of(subject)
    prompt = prompt_of(subject, loaded)
    options = {"max_new_tokens": 3, "min_new_tokens": 3, "do_sample": False, "output_logits": True}
    logits = []
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, layouts=[prompt.layout]):
        for use_cache in (True, False):
            done = loaded.model.generate(
                **prompt.inputs, **options, return_dict_in_generate=True, use_cache=use_cache
            )
            logits.append(torch.stack(done.logits))
    assert (logits[0] - logits[1]).abs().max() < 5e-5


@pytest.mark.parametrize(("name", "subject"), FIRST_PAIRS)
def test_nothing_stays_attached_after_leaving_or_failing(name: str, subject: str) -> None:
    method = accepted(name, subject)
    loaded = model_of(subject)

    def state() -> tuple[object, ...]:
        hooks = sum(
            len(getattr(module, kind))
            for module in loaded.model.modules()
            for kind in ("_forward_hooks", "_forward_pre_hooks")
        )
        return hooks, loaded.model.config.to_json_string(), len(SESSIONS)

    before = state()
    prompt = prompt_of(subject, loaded)
    with torch.inference_mode(), attach(loaded.model, loaded.adapter, method, layouts=[prompt.layout]):
        loaded.model(**prompt.inputs)
    assert state() == before

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    handle = layers_of(loaded)[1].mlp.register_forward_hook(broken)
    try:
        with (
            pytest.raises(ZeroDivisionError),
            torch.inference_mode(),
            attach(loaded.model, loaded.adapter, method, layouts=[prompt.layout]),
        ):
            loaded.model(**prompt.inputs)
    finally:
        handle.remove()
    assert state() == before


@pytest.mark.parametrize(("name", "subject"), TRACED_PAIRS)
def test_the_same_seed_gives_the_same_bytes(name: str, subject: str, tmp_path: Path) -> None:
    accepted(name, subject)
    contents = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        parameters = support.SMALL.get(name, {})
        settings = RunSettings(
            output=folder,
            model=subject.partition("+")[0],
            size="tiny",
            method=name,
            parameters=parameters,
            samples=1,
            frames=3,
        )
        run_trace(settings)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "manifest" not in path.name]
        contents.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert any(path.name.endswith(".records.parquet") for path in contents[0])


@pytest.mark.parametrize("name", ["visionzip", "sparsezip", "zip_parts"])
def test_text_between_frames_stays_where_pictures_are_compressed(name: str) -> None:
    subject = "qwen3_vl+video"
    loaded = model_of(subject)
    prompt = prompt_of(subject, loaded)
    (sample,), _, _ = run(loaded, method_of(name, loaded), [prompt])
    ids = prompt.inputs["input_ids"][0].tolist()
    start, stop = prompt.layout.visual_start, prompt.layout.visual_stop
    marks = {place for place in range(start, stop) if ids[place] != loaded.model.config.video_token_id}
    assert marks
    assert marks <= set(present_tokens(sample)[3, "layer_input"])


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_without_effect_is_not_its_default(name: str) -> None:
    default = build_method(name, {})
    none = default.study.without_effect(default)
    assert not none or build_method(name, none) != default
