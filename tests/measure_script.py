"""Stands in for ``focal measure`` in tests: made-up answers and synthetic counts, in milliseconds and without torch.

The more tokens and vectors a method keeps, the more questions are right; questions have fixed difficulties, so that
answers of two methods are paired. Words: ``--log FILE`` notes every start and measurement, ``--weights FILE`` enters
the identity, ``--names`` has it name parameters, ``--spoil`` leaves wrong metrics, ``--die`` ends at the first request.
"""

import hashlib
import json
import sys
from pathlib import Path

QUESTIONS = 200
LAYERS = 8


def note(text: str) -> None:
    if "--log" in sys.argv:
        with Path(sys.argv[sys.argv.index("--log") + 1]).open("a", encoding="utf-8") as log:
            log.write(text + "\n")


def identity() -> str:
    path = Path(sys.argv[sys.argv.index("--weights") + 1]) if "--weights" in sys.argv else None
    return hashlib.sha256(path.read_bytes() if path else b"").hexdigest()


def answers(kept: float, sparsity: float) -> list[bool]:
    import numpy as np

    generator = np.random.default_rng(7)
    difficulty = generator.random(QUESTIONS)
    luck = np.random.default_rng(int(1e6 * (kept + sparsity))).normal(0, 0.02, QUESTIONS)
    return [bool(one) for one in difficulty + luck < 0.9 - 0.25 * (1 - kept) ** 4 - 0.08 * sparsity]


def write_trace(
    root: Path, layers: tuple[int, ...], alphas: tuple[float, ...], sparsity: float, vector: int, tile: int
) -> None:
    # Imported here: printing the identity and refusing must stay quick.
    from focal_traces.files.store import write_counts
    from focal_traces.header.schema import GEMMS, DecoderGeometry, TokenGrid
    from focal_traces.synthetic.schedule import Schedule
    from focal_traces.synthetic.synthetic import SyntheticInput, synthetic_counts

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


def measure(parameters: dict[str, object], root: Path) -> dict[str, float]:
    threshold = float(str(parameters.get("similarity_threshold", 0.9)))
    if threshold > 1:
        raise ValueError(f"similarity_threshold must lie in (0, 1], got {threshold:g}")
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
    spoilt = {**metrics, "accuracy": None} if "--spoil" in sys.argv else metrics
    (root / "measured.json").write_text(json.dumps({"metrics": spoilt}))
    return metrics


def main() -> None:
    if "--identity" in sys.argv:
        print(identity())
        if "--names" in sys.argv:
            print(json.dumps({"parameters": ["m_tile", "similarity_threshold"]}))
        return
    note("start")
    for line in sys.stdin:
        if "--die" in sys.argv:
            sys.exit("error: no memory is left")
        request = json.loads(line)
        note(json.dumps(request["parameters"], sort_keys=True))
        try:
            reply: dict[str, object] = {"metrics": measure(request["parameters"], Path(request["output"]))}
        except ValueError as error:
            reply = {"error": str(error)}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
