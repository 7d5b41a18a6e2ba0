"""Is the blocked, retained-rows similarity concentration the same as plain loops over everything?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from focal_algorithm.kernels import grouping, matching, vectors
from focal_algorithm.kernels.candidates import candidates_of, partner_rows
from focal_algorithm.kernels.matching import is_small, match_vectors_at_once, match_vectors_plain
from focal_algorithm.kernels.similarity import concentrate
from focal_algorithm.kernels.vectors import as_vectors, norms_and_zeros, tile_of_tokens
from focal_traces import TokenGrid
from goldens.published_forms import expand
from oracles.similarity_twin import twin

torch.set_num_threads(1)

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Sums of products may be taken in another order, so only decisions clearer than this must agree.
BORDERLINE = 1e-6


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Draw small inputs full of ties, zero vectors, zero tokens, pruned rows and odd strides."""
    frames, rows, columns = (draw(st.integers(1, 4)) for _ in range(3))
    row_stride = columns + draw(st.integers(0, 1))
    is_strict = draw(st.booleans())
    # Overlapping frames are a quirk of the compatible mode; strict mode refuses them.
    frame_stride = rows * row_stride + draw(st.integers(0 if is_strict else -1, 2))
    visual_tokens = max(1, frames * max(1, frame_stride) + draw(st.integers(-2, 2)))
    width = draw(st.integers(1, 9))
    dtype = draw(st.sampled_from(DTYPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    x = torch.randint(-2, 3, (visual_tokens, width), generator=generator).to(torch.float32)
    if draw(st.booleans()):
        x += 0.3 * torch.randn(x.shape, generator=generator)
    x[torch.rand(x.shape, generator=generator) < draw(st.sampled_from((0.0, 0.3, 0.7)))] = 0
    kept = torch.rand(visual_tokens, generator=generator) < draw(st.sampled_from((1.1, 0.7, 0.3)))
    positions = kept.nonzero().squeeze(1)
    settings_ = {
        "grid": TokenGrid(
            frames=frames,
            rows=rows,
            columns=columns,
            frame_stride=max(1, frame_stride),
            row_stride=row_stride,
            column_stride=1,
        ),
        "visual_tokens": visual_tokens,
        "vector_size": draw(st.integers(1, 10)),
        "m_tile": draw(st.sampled_from((-1, 0, 1, 2, 5, 16))),
        "block": tuple(draw(st.integers(1, 3)) for _ in range(3)),
        "threshold": draw(st.sampled_from((0.3, 0.9, 0.99, 1.0))),
        "is_strict": is_strict,
    }
    return x[positions].to(dtype), positions, settings_


@pytest.fixture(params=["all at once", "ordinary blocks", "tiny blocks"])
def block_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "all at once":
        monkeypatch.setattr(matching, "_MOST_ELEMENTS", 0)
    if request.param == "tiny blocks":
        monkeypatch.setattr(vectors, "_CPU_ELEMENTS", 24)
        monkeypatch.setattr(grouping, "_VECTORS_PER_BLOCK", 32)
        monkeypatch.setattr(grouping, "_MEMBERS_PER_BLOCK", 3)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(case=cases())
def test_fast_code_equals_plain_loops(block_sizes: None, case: tuple[Tensor, Tensor, dict[str, Any]]) -> None:
    x, positions, parameters = case
    untouched = x.clone()
    expected = twin(x, positions, **parameters)
    assume(expected.margin > BORDERLINE)
    found = concentrate(x, positions, **parameters)
    full = expand(found, positions, parameters["visual_tokens"])
    rows = positions.numpy()
    slices = full.is_zero.shape[1]
    np.testing.assert_array_equal(full.is_zero.numpy(), expected.is_zero)
    np.testing.assert_array_equal(full.is_similar.numpy(), expected.is_similar)
    np.testing.assert_array_equal(found.winner.numpy(), expected.winner[rows])
    np.testing.assert_array_equal(found.tile.numpy(), expected.tile[rows])
    np.testing.assert_array_equal(found.representative.numpy(), expected.root[rows])
    np.testing.assert_array_equal(full.group_index.numpy(), expected.root * slices + np.arange(slices))
    precision = torch.finfo(x.dtype).eps
    np.testing.assert_allclose(
        found.values.to(torch.float32).numpy(), expected.values[rows], rtol=2 * precision, atol=2 * precision
    )
    assert found.values.dtype == x.dtype
    assert torch.equal(x, untouched)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(case=cases())
def test_all_candidates_at_once_give_the_same_bits_as_one_after_the_other(
    case: tuple[Tensor, Tensor, dict[str, Any]],
) -> None:
    x, positions, parameters = case
    x = x.masked_fill(x == 2, torch.inf)  # what is not a number must not match
    grid, is_strict = parameters["grid"], parameters["is_strict"]
    candidates = candidates_of(grid, parameters["block"])
    vectors = as_vectors(x, parameters["vector_size"])
    assume(is_small(vectors, candidates))
    norms, is_zero = norms_and_zeros(vectors, name="x")
    tile = tile_of_tokens(is_zero.all(1), parameters["m_tile"])
    partners = partner_rows(positions, tile, candidates, grid=grid, is_strict=is_strict)
    rules = {"threshold": parameters["threshold"], "is_norm_rounded": not is_strict}
    fast = match_vectors_at_once(vectors, norms, partners, candidates, **rules)
    slow = match_vectors_plain(vectors, norms, partners, candidates, **rules)
    for name in ("winner", "pointer", "best"):
        found, wanted = getattr(fast, name), getattr(slow, name)
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted), name
