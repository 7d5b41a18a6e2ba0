"""What every compression method must fulfil in every model family, as seen from the model's own layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from focal.testing.prompts import image, padded, tiny, video
from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import attach
from focal_algorithm.hooks.attention import SESSIONS
from focal_algorithm.hooks.cache import held_tokens
from focal_algorithm.hooks.recorder import RecordedSample, Recorder
from focal_algorithm.methods import METHODS
from focal_algorithm.methods.base import CompressionMethod, changes_length, hook_points
from focal_algorithm.methods.build import build_method
from focal_algorithm.methods.study import paper_of
from focal_algorithm.models import MODELS
from focal_algorithm.tracing.prompting import Prompt, build_prompt
from focal_algorithm.tracing.runner import run as run_trace
from focal_algorithm.tracing.settings import RunSettings
from focal_algorithm.transformers_versions import cache_of
from focal_common.errors import UnsupportedError

SUBJECTS = [
    f"{family}+{kind}" for family in MODELS for kind in sorted(MODELS.load(family).modalities, reverse=True)
]
"""Families with what they are shown, as ``family+kind``."""

SETTLED = "llava_onevision+video"
"""What is run in all settings by default."""

_SETTINGS = [("sdpa", "fp32"), ("eager", "bf16"), ("eager", "fp32"), ("sdpa", "bf16")]
"""Attention and dtype; the first two have both values of each."""

_AXES: dict[str, list[Any]] = {
    "subject": SUBJECTS,
    "setting": _SETTINGS,
    "padding": ["alone", "left", "right"],
    "side": ["left", "right"],
}

_POINT_OF = {
    "q_proj": "layer_input",
    "o_proj": "layer_input",
    "gate_proj": "after_attention",
    "down_proj": "after_attention",
}


def is_first(subject: str) -> bool:
    """Return whether a subject is the one that stands for its family."""
    family = subject.partition("+")[0]
    return subject == next(one for one in SUBJECTS if one.startswith(f"{family}+"))


def _is_short(case: Mapping[str, Any]) -> bool:
    """Return whether a case runs by default: every family once, one of them in all settings."""
    subject = case["subject"]
    is_settled, stands_for_family = subject == SETTLED, is_first(subject)
    if "padding" in case:
        is_alone = stands_for_family and case["padding"] == "alone"
        return case["setting"] in _SETTINGS[:2] and (is_settled or is_alone)
    if "setting" in case:
        return is_settled or case["setting"] == _SETTINGS[int(stands_for_family)]
    if "side" in case:
        return stands_for_family and (is_settled or case["side"] == "left")
    return True


def model_of(subject: str, attention: str = "sdpa", dtype: str = "fp32") -> LoadedModel:
    """Return the tiny model of a family."""
    return tiny(subject.partition("+")[0], attention, dtype)


def prompt_of(subject: str, loaded: LoadedModel, seed: int = 0, question: str = "What?") -> Prompt:
    """Return a prompt with a video of nine frames, or with an image."""
    sample = video(seed, frames=9) if subject.endswith("+video") else image(seed, 140, 140)
    return build_prompt(loaded, sample, question)


def fitted(name: str, parameters: Mapping[str, Any], loaded: LoadedModel) -> CompressionMethod:
    """Return a method with parameters, or with those that its study fits to the model if there are none."""
    default = build_method(name, {})
    return build_method(name, dict(parameters) or default.study.fitted(loaded.geometry))


def refused(method: CompressionMethod, subject: str) -> str:
    """Return why a method refuses a prompt, in a trial prefill; empty if it does not."""
    loaded = model_of(subject)
    try:
        run(loaded, method, [prompt_of(subject, loaded)])
    except UnsupportedError as error:
        return str(error)
    return ""


_refused = cache(refused)


@dataclass
class _Probe:
    """What the linear layers of the decoder were given; by (layer, GEMM), axes (batch, tokens, width)."""

    inputs: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    def take(self, place: tuple[int, str], module: nn.Module, args: tuple[Tensor, ...]) -> None:
        """Keep the input of a linear layer."""
        self.inputs[place] = args[0].detach().clone()


@contextmanager
def _probed(model: Any, layers: list[Any]) -> Iterator[_Probe]:
    """Watch the linear layers themselves, below all hooks of a method."""
    probe, handles = _Probe(), []
    for index, layer in enumerate(layers):
        watched = {
            "q_proj": layer.self_attn.q_proj,
            "o_proj": layer.self_attn.o_proj,
            "gate_proj": layer.mlp.gate_proj,
            "down_proj": layer.mlp.down_proj,
        }
        for gemm, module in watched.items():
            handles.append(module.register_forward_pre_hook(partial(probe.take, (index, gemm))))
    try:
        yield probe
    finally:
        for handle in handles:
            handle.remove()


def _layers_of(loaded: LoadedModel) -> list[Any]:
    """Return the decoder layers."""
    return [point.layer for point in loaded.adapter.points(loaded.model).layers]


def run(
    loaded: LoadedModel, method: CompressionMethod, prompts: list[Prompt], side: str = "left"
) -> tuple[list[RecordedSample], Any, _Probe]:
    """Record one prefill of a padded batch."""
    inputs = prompts[0].inputs if len(prompts) == 1 else padded(prompts, side)
    recorder = Recorder(loaded.geometry, method, keep_masks=True)
    layouts = [prompt.layout for prompt in prompts]
    with (
        torch.inference_mode(),
        attach(loaded.model, loaded.adapter, method, recorder, layouts),
        _probed(loaded.model, _layers_of(loaded)) as probe,
    ):
        output = loaded.model(**inputs, use_cache=True)
    return recorder.samples, output, probe


def _cached(loaded: LoadedModel, method: CompressionMethod, layer: int, shown: int) -> int:
    """Return how many tokens a cache holds: layers with a window forget, unless masks do it for them."""
    window = loaded.adapter.points(loaded.model).windows[layer]
    return shown if window is None or changes_length(method) else min(shown, window - 1)


def present_tokens(sample: RecordedSample) -> dict[tuple[int, str], list[int]]:
    """Return the tokens that are present by (layer, point), following the merge maps."""
    present = list(range(sample.header.sequence_tokens))
    found: dict[tuple[int, str], list[int]] = {}
    points = ("layer_input", "after_attention")
    layers = 1 + max(record.layer for record in sample.records)
    for layer in range(layers):
        for point in points:
            for record in sample.records:
                if (record.kind, record.layer, record.point) == ("map", layer, point):
                    assert record.index.tolist() == present
                    present = record.index[record.value == record.index].tolist()
            found[layer, point] = present
    return found


class MethodContract:
    """Tests of a compression method in every model family; inherit it and name the method.

    Attributes:
        method: Name under which it is registered.
        parameters: With which it acts on a decoder of four layers; those that its study fits if empty.
        refusals: Prompts that it refuses, as ``family+kind`` of `SUBJECTS`, with words of the reason. Any other refusal
            fails, and so does one that is gone.
        long: Mark for the cases that take long; they are left out if None.
    """

    method: ClassVar[str]
    parameters: ClassVar[Mapping[str, Any]] = {}
    refusals: ClassVar[Mapping[str, str]] = {}
    long: ClassVar[pytest.MarkDecorator | None] = None

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run a test over the axes that it asks for."""
        axes = [axis for axis in _AXES if axis in metafunc.fixturenames]
        cases = []
        for values in product(*(_AXES[axis] for axis in axes)):
            case = dict(zip(axes, values, strict=True))
            label = "-".join("-".join(value) if isinstance(value, tuple) else value for value in values)
            if not axes or self.runs_by_default(metafunc.function.__name__, case):
                cases.append(pytest.param(*values, id=label))
            elif self.long is not None:
                cases.append(pytest.param(*values, id=label, marks=self.long))
        if axes:
            metafunc.parametrize(axes, cases)

    def runs_by_default(self, test: str, case: Mapping[str, Any]) -> bool:
        """Return whether a case of a test is a short one."""
        if test in ("test_decoding_agrees_with_and_without_a_cache", "test_nothing_stays_attached"):
            return is_first(case["subject"])
        if test == "test_the_same_seed_gives_the_same_bytes":
            return bool(case["subject"] == SETTLED)
        return _is_short(case)

    def built(self, loaded: LoadedModel) -> CompressionMethod:
        """Return the method with parameters for a model."""
        return fitted(self.method, self.parameters, loaded)

    def accepted(self, subject: str) -> CompressionMethod:
        """Return the method, or skip with its reason where it refuses the family's prompts."""
        method = self.built(model_of(subject))
        reason = _refused(method, subject)
        if reason:
            pytest.skip(f"refused: {reason}")
        return method

    def test_it_declares_its_paper_and_deviations(self) -> None:
        method = METHODS.load(self.method)
        assert method.name == self.method
        assert paper_of(method)
        assert "Deviations:" in (method.__doc__ or "")

    def test_it_is_a_value_and_repeats_itself(self) -> None:
        method = self.accepted(SETTLED)
        loaded = model_of(SETTLED)
        assert method == self.built(loaded)
        assert hash(method) == hash(self.built(loaded))
        prompt = prompt_of(SETTLED, loaded)
        (first,), one, _ = run(loaded, method, [prompt])
        (second,), other, _ = run(loaded, method, [prompt])
        assert first.masks == second.masks
        assert torch.equal(one.logits, other.logits)
        assert method == self.built(loaded)

    def test_zero_and_similar_vectors_are_disjoint_and_dropped_tokens_stay_dropped(self) -> None:
        method = self.accepted(SETTLED)
        loaded = model_of(SETTLED)
        prompt = prompt_of(SETTLED, loaded)
        (sample,), _, _ = run(loaded, method, [prompt])
        assert sample.masks is not None
        gone: Any = np.zeros(prompt.layout.visual_tokens, dtype=bool)
        for packed in sample.masks.gemms:
            assert not (packed.is_zero() & packed.is_similar()).any()
            now = packed.is_zero().all(axis=1)
            assert not (gone & ~now).any()
            gone = now

    def test_a_family_is_refused_for_the_known_reason_or_not_at_all(self, subject: str) -> None:
        reason, expected = _refused(self.built(model_of(subject)), subject), self.refusals.get(subject, "")
        assert bool(reason) == bool(expected), (
            f"{self.method} on {subject}: {reason!r}, expected {expected!r}"
        )
        assert expected in reason

    def test_without_strength_the_logits_are_those_of_the_untouched_model_to_the_bit(
        self, subject: str, setting: tuple[str, str], padding: str
    ) -> None:
        self.accepted(subject)
        loaded = model_of(subject, *setting)
        default = build_method(self.method, {})
        none = default.study.without_effect(default)
        if not none and hook_points(default):
            pytest.skip(f"{self.method} names no parameters without effect")
        method = build_method(self.method, none)
        prompts = [prompt_of(subject, loaded, 1, "A")]
        if padding != "alone":
            prompts.append(prompt_of(subject, loaded, 2, "Longer"))
        inputs = prompts[0].inputs if padding == "alone" else padded(prompts, padding)
        with torch.inference_mode():
            untouched = loaded.model(**inputs).logits
        _, output, _ = run(loaded, method, prompts, padding)
        for row, prompt in enumerate(prompts):
            tokens = prompt.layout.sequence_tokens
            real = slice(-tokens, None) if padding == "left" else slice(0, tokens)
            assert torch.equal(output.logits[row, real], untouched[row, real])

    def test_records_agree_with_what_the_linear_layers_were_given(
        self, subject: str, setting: tuple[str, str]
    ) -> None:
        method = self.accepted(subject)
        loaded = model_of(subject, *setting)
        prompt = prompt_of(subject, loaded)
        (sample,), output, probe = run(loaded, method, [prompt])
        present = present_tokens(sample)
        start, stop = prompt.layout.visual_start, prompt.layout.visual_stop
        text = {*range(start), *range(stop, prompt.layout.sequence_tokens)}
        assert sample.masks is not None
        for (layer, gemm), values in probe.inputs.items():
            tokens = present[layer, _POINT_OF[gemm]]
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
        for layer in range(len(_layers_of(loaded))):
            shown = len(present[layer, "layer_input"])
            assert held_tokens(cache, layer) == _cached(loaded, method, layer, shown)

    def test_counts_of_tokens_are_those_of_the_maps(self, subject: str) -> None:
        method = self.accepted(subject)
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

    def test_padding_changes_no_decision(self, subject: str, side: str) -> None:
        method = self.accepted(subject)
        loaded = model_of(subject)
        prompts = [prompt_of(subject, loaded, 1, "A"), prompt_of(subject, loaded, 2, "Longer")]
        together, output, _ = run(loaded, method, prompts, side)
        kept = []
        for sample, prompt in zip(together, prompts, strict=True):
            (alone,), _, _ = run(loaded, method, [prompt])
            maps = [record for record in sample.records if record.kind == "map"]
            assert maps == [record for record in alone.records if record.kind == "map"]
            kept.append(present_tokens(sample))
        for layer in range(len(_layers_of(loaded))):
            longest = max(len(present[layer, "layer_input"]) for present in kept)
            whole = max(prompt.layout.sequence_tokens for prompt in prompts)
            expected = {_cached(loaded, method, layer, shown) for shown in (longest, whole)}
            assert held_tokens(cache_of(output), layer) in expected

    def test_decoding_agrees_with_and_without_a_cache(self, subject: str) -> None:
        method = self.accepted(subject)
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

    def test_nothing_stays_attached(self, subject: str) -> None:
        method = self.accepted(subject)
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

        handle = _layers_of(loaded)[1].mlp.register_forward_hook(broken)
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

    def test_the_same_seed_gives_the_same_bytes(self, subject: str, tmp_path: Path) -> None:
        self.accepted(subject)
        contents = []
        for folder in (tmp_path / "one", tmp_path / "two"):
            settings = RunSettings(
                output=folder,
                model=subject.partition("+")[0],
                size="tiny",
                method=self.method,
                parameters=dict(self.parameters),
                samples=1,
                frames=3,
            )
            run_trace(settings)
            files = [
                path for path in sorted(folder.rglob("*")) if path.is_file() and "manifest" not in path.name
            ]
            contents.append({path.relative_to(folder): path.read_bytes() for path in files})
        assert contents[0] == contents[1]
        assert any(path.name.endswith(".records.parquet") for path in contents[0])

    def test_without_effect_is_not_its_default(self) -> None:
        default = build_method(self.method, {})
        none = default.study.without_effect(default)
        assert not none or build_method(self.method, none) != default
