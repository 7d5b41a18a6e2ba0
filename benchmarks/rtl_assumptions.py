"""Prints what latencies and ports do to Focus's headline: the table of docs/studies/rtl.md.

    python benchmarks/rtl_assumptions.py

Geometric means over the nine video workloads, all corrections on, the same settings for dense, Focus and Focus without
similarity. About a minute on an idle core.
"""

from __future__ import annotations

from pathlib import Path

import focal

ROOT = Path(__file__).resolve().parents[1]
PORT_ONE = {"core.concentrate_ports": 1, "core.output_ports": 1}
WAVEFRONT = {"dataflow.is_weight_wavefront": True, "core.weight_port": 64}
ASSUMPTIONS = {
    "as shipped: the RTL's latencies, published ports": {},
    "no latencies": {"core.output_latency": 0, "core.scatter_latency": 0, "core.group_mean": 0},
    "mean of eight cycles a vector": {"core.group_mean": 8},
    "one read port of the concentrate buffer": {"core.concentrate_ports": 1},
    "one port of both buffers": PORT_ONE,
    "weight port of 2 bytes": {"core.weight_port": 2},
    "the same, weights double-buffered": {"core.weight_port": 2, "dataflow.is_weight_double_buffered": True},
    "weights behind the wavefront": WAVEFRONT,
    "the same, one port of both buffers": {**WAVEFRONT, **PORT_ONE},
}


def main() -> None:
    """Print the table."""
    print("| assumption | over dense | over SEC-only |\n|---|---:|---:|")
    for name, overrides in ASSUMPTIONS.items():
        found = focal.simulate(
            ROOT / "example_output" / "published",
            accelerators=["dense", "focus", "focus_sec_only"],
            models=["llava_vid", "llava_onevision", "minicpm_v"],
            datasets=["videomme", "mlvu", "mvbench"],
            overrides=overrides,
        )
        assert len(found.frame()) == 27
        ratios = (found.speedup("focus", over) for over in ("dense", "focus_sec_only"))
        print(f"| {name} | {' | '.join(f'{ratio:.3f}' for ratio in ratios)} |", flush=True)


if __name__ == "__main__":
    main()
