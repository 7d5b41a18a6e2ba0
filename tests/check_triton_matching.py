"""Compares the fused matching kernel with the plain one: ``TRITON_INTERPRET=1 python tests/check_triton_matching.py``.

On a machine with CUDA: ``python tests/check_triton_matching.py cuda``. The word ``compile`` builds it for two
generations of GPUs, which needs none.
"""

from __future__ import annotations

import itertools
import sys

import torch

from focal_algorithm.kernels import triton_matching
from focal_algorithm.kernels.candidates import candidates_of, partner_rows
from focal_algorithm.kernels.matching import match_vectors_plain
from focal_algorithm.kernels.triton_matching import match_vectors_fused
from focal_algorithm.kernels.vectors import norms_and_zeros
from focal_traces import TokenGrid

GRID = TokenGrid(frames=3, rows=3, columns=4, frame_stride=12, row_stride=4, column_stride=1)


def alike(rows: int, slices: int, elements: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    """A few patterns with noise, so that some vectors match; with zero vectors and one of infinities."""
    random = torch.Generator().manual_seed(seed)
    patterns = torch.randn(4, slices, elements, generator=random)
    noise = torch.randn(rows, slices, elements, generator=random) * 0.3
    made = patterns[torch.randint(0, 4, (rows,), generator=random)] + noise
    made[1, 0], made[5] = 0, 0
    made[7, -1, 0] = torch.inf
    return made.to(dtype)


def check(device: str) -> int:
    """Return how many vectors matched in all cases, after comparing winners, pointers and similarities."""
    positions = torch.tensor([p for p in range(36) if p not in (4, 17, 30)])
    tile = torch.arange(len(positions)) // 20
    candidates = candidates_of(GRID, (2, 2, 2))
    partners = partner_rows(positions, tile, candidates, grid=GRID, is_strict=False)
    matched = 0
    shapes = [(3, 32), (5, 24)]
    dtypes = (torch.float32, torch.bfloat16, torch.float16)
    for (slices, elements), dtype in itertools.product(shapes, dtypes):
        vectors = alike(len(positions), slices, elements, dtype, slices)
        norms, _ = norms_and_zeros(vectors, name="case")
        given = [one.to(device) for one in (vectors, norms, partners)]
        options = {"threshold": 0.9, "is_norm_rounded": slices == 3}
        plain = match_vectors_plain(vectors, norms, partners, candidates, **options)
        fused = match_vectors_fused(*given, candidates, **options)
        assert torch.equal(fused.winner.cpu(), plain.winner), (slices, elements, dtype)
        assert torch.equal(fused.pointer.cpu(), plain.pointer), (slices, elements, dtype)
        assert torch.allclose(fused.best.cpu(), plain.best, atol=1e-5), (slices, elements, dtype)
        matched += int((plain.winner != 255).sum())
        nothing = match_vectors_fused(*given[:2], given[2][:0], (), **options)
        assert bool((nothing.winner == 255).all())
    return matched


def build() -> str:
    """Compile the kernel and return the compute capabilities."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    pointers = {
        "vectors": "*bf16",
        "key_norms": "*fp32",
        "norms": "*fp32",
        "partners": "*i64",
        "codes": "*i32",
        "limit": "*fp32",
        "best_out": "*fp32",
        "winner_out": "*u8",
        "pointer_out": "*i32",
    }
    values = {"ELEMENTS": 32, "CANDIDATES": 7, "NONE": 255, "BLOCK": 64, "WIDTH": 32}
    signature = {**pointers, "rows": "i32", "slices": "i32", **dict.fromkeys(values, "constexpr")}
    places = {(list(signature).index(name),): value for name, value in values.items()}
    source = ASTSource(fn=triton_matching._match, signature=signature, constexprs=places)
    capabilities = (80, 90)
    for capability in capabilities:
        built = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        assert "ptx" in built.asm
    return ", ".join(map(str, capabilities))


if __name__ == "__main__":
    if sys.argv[1:] == ["compile"]:
        print(f"compiles for compute capabilities {build()}")
        sys.exit()
    found = check(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    assert found > 50
    print(f"fused and plain matching agree on {found} matches")
