"""Do the formulas of methods for videos count the products that their kernels make?"""

from __future__ import annotations

from typing import Any

import pytest

from focal.testing.prompts import record, tiny, video
from focal_algorithm.kernels import dycoke, evs, fastvid, holitom
from focal_algorithm.methods.build import build_method
from focal_algorithm.tracing.output import recorded_trace
from focal_algorithm.tracing.prompting import build_prompt
from focal_traces.work.ledger import ledger

FRAMES = 9


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let kernels note how many pairs of tokens they compare."""
    pairs: list[int] = []

    def noting(module: Any, name: str, of: Any) -> None:
        own = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            pairs.append(of(*given))
            return own(*given, **named)

        monkeypatch.setattr(module, name, call)

    for module in (dycoke, evs, holitom):
        noting(module, "paired_cosine", lambda one, two: one[..., 0].numel())
    for module in (fastvid, holitom):
        noting(module, "density_peaks", lambda values, count, neighbours: len(values) ** 2 if count else 0)
        noting(module, "most_alike", lambda values, centres: len(values) * len(centres))
    return pairs


@pytest.mark.parametrize(
    ("name", "parameters", "most"),
    [
        ("evs", {"pruning_rate": 0.5}, 1.0),
        ("dycoke", {}, 1.0),
        ("dycoke", {"mode": "strict"}, 1.0),
        ("fastvid", {"retain_ratio": 0.4, "segments": 3}, 6.0),
        ("fastvid", {"retain_ratio": 0.4, "segments": 3, "variant": "shared"}, 6.0),
        ("fastvid", {"retain_ratio": 0.4, "segments": 3, "variant": "sampled", "mode": "strict"}, 12.0),
        ("holitom", {"retain_ratio": 0.5}, 6.0),
        ("holitom", {"retain_ratio": 0.5, "merged_share": 0.5, "inner_layer": 2}, 6.0),
    ],
)
def test_pairs_are_those_of_the_kernels(
    name: str, parameters: dict[str, Any], most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tiny("llava_onevision")
    method = build_method(name, parameters)
    prompt = build_prompt(loaded, video(frames=FRAMES), "What?")
    pairs = counted(monkeypatch)
    (sample,), _ = record(loaded, method, prompt.inputs, layouts=[prompt.layout])
    macs = ledger(recorded_trace(loaded, method, [sample], "videos", 0)).value("selection_macs")
    tokens, hidden = prompt.layout.visual_tokens, loaded.geometry.hidden_elements
    norms = tokens * hidden
    least = norms + sum(pairs) * hidden
    assert pairs
    assert least <= macs <= most * least
