"""A stand-in for a measured model: made-up answers and synthetic counts, in milliseconds and without torch.

The more tokens and vectors a method keeps, the more questions are right; questions have fixed difficulties, so that
answers of two methods are paired. Words of ``arguments``: ``--log FILE`` notes every model that is opened and every
measurement, ``--weights FILE`` enters the identity, ``--names`` has it name parameters, ``--spoil`` leaves bad metrics.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from focal.studies.measure.provider import MeasuredTraces
from focal_common.errors import ConfigError
from focal_traces.files.store import write_counts
from focal_traces.header.schema import GEMMS, DecoderGeometry, TokenGrid
from focal_traces.synthetic.schedule import Schedule
from synthetic_traces import SyntheticInput, synthetic_counts

__all__ = ["StandIn"]

QUESTIONS = 200
LAYERS = 8


def answers(kept: float, sparsity: float) -> list[bool]:
    generator = np.random.default_rng(7)
    difficulty = generator.random(QUESTIONS)
    luck = np.random.default_rng(int(1e6 * (kept + sparsity))).normal(0, 0.02, QUESTIONS)
    return [bool(one) for one in difficulty + luck < 0.9 - 0.25 * (1 - kept) ** 4 - 0.08 * sparsity]


def write_trace(
    root: Path, layers: tuple[int, ...], alphas: tuple[float, ...], sparsity: float, vector: int, tile: int
) -> None:
    given = SyntheticInput(
        DecoderGeometry(
            layers=LAYERS,
            hidden_elements=128,
            intermediate_elements=256,
            heads=4,
            kv_heads=2,
            head_dim_elements=32,
        ),
        TokenGrid(frames=16, rows=8, columns=8, frame_stride=64, row_stride=8, column_stride=1),
        schedule=Schedule(layers, alphas),
        similarity=dict.fromkeys(GEMMS, sparsity),
        vector_size=vector,
        m_tile=tile,
    )
    trace = synthetic_counts(given)
    header = trace.header
    table = "Model,Dataset,Sequence length,Num frames,Num patches,Median index\n"
    (root / "meta_data.csv").write_text(f"{table}{header.model},{header.dataset},1024,16,64,0\n")
    (root / "focus_main").mkdir()
    write_counts(trace, root / "focus_main" / f"{header.model}_{header.dataset}.counts.parquet")


def measure(parameters: Mapping[str, object], root: Path, is_spoilt: bool) -> None:
    threshold = float(str(parameters.get("similarity_threshold", 0.9)))
    if threshold > 1:
        raise ConfigError(f"similarity_threshold must lie in (0, 1], got {threshold:g}")
    layers = tuple(parameters.get("selected_layers", ()))  # type: ignore[arg-type]
    alphas = tuple(parameters.get("alpha_list", ()))  # type: ignore[arg-type]
    block = int(str(parameters.get("block_size", 2))) * int(str(parameters.get("frame_block_size", 2)))
    sparsity = (1 - threshold) * 3 * (1 - 1 / block) if threshold < 1 else 0.0
    vector, tile = int(str(parameters.get("vector_size", 32))), int(str(parameters.get("m_tile", 1024)))
    write_trace(root, layers, alphas, min(sparsity, 0.95), vector, tile)
    kept_by_layer = [
        min([1.0, *(alpha for start, alpha in zip(layers, alphas, strict=True) if start < layer)])
        for layer in range(LAYERS)
    ]
    kept = sum(kept_by_layer) / LAYERS
    right = answers(kept, sparsity)
    rows = [f"clip-{place // 10},kind,yes,word,{int(one)}\n" for place, one in enumerate(right)]
    (root / "answers.csv").write_text("picture,kind,expected,said,right\n" + "".join(rows))
    share = sum(right) / QUESTIONS
    half = 196 * (share * (1 - share) / QUESTIONS) ** 0.5
    metrics = {
        "accuracy": 100 * share,
        "accuracy_low": 100 * share - half,
        "accuracy_high": 100 * share + half,
        "questions": float(QUESTIONS),
        "kept_tokens": 100 * kept,
        "vector_sparsity": 100 * sparsity,
    }
    spoilt = {**metrics, "accuracy": None} if is_spoilt else metrics
    (root / "measured.json").write_text(json.dumps({"metrics": spoilt}))


class Measurer:
    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self.parameters = ("m_tile", "similarity_threshold") if "--names" in words else None

    def _file(self, option: str) -> Path | None:
        return Path(self._words[self._words.index(option) + 1]) if option in self._words else None

    def _note(self, text: str) -> None:
        log = self._file("--log")
        if log is not None:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(text + "\n")

    def identity(self) -> str:
        weights = self._file("--weights")
        return hashlib.sha256(weights.read_bytes() if weights else b"").hexdigest()

    @cached_property
    def _model(self) -> str:
        self._note("start")
        return "loaded"

    def measure(self, parameters: Mapping[str, Any], output: Path) -> None:
        assert self._model == "loaded"
        self._note(json.dumps(dict(parameters), sort_keys=True))
        measure(parameters, output, "--spoil" in self._words)


class StandIn(MeasuredTraces):
    def measurer(self, words: Sequence[str]) -> Measurer:
        return Measurer(words)
