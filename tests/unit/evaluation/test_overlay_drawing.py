"""Can the state of every token be read back from the finished picture, and does a comparison treat both sides alike?"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from focal_common.errors import ConfigError
from focal_evaluation.overlays.loading import ShownSample
from focal_evaluation.overlays.looks import DIFFERENCE_LOOKS, STATUS_LOOKS, Look
from focal_evaluation.overlays.page import write_page
from focal_evaluation.overlays.scene import Scene, _parameters, difference_scene, status_scene
from focal_evaluation.overlays.sheet import Sheet, SheetMaker, _first_lines, _wrapped
from focal_traces.frames.frames import KeptPicture, SampleFrames
from focal_traces.records.token_status import SampleTokenStatus
from traces_support import tiny_trace

LAYERS, TOKENS = 3, 18
"""Of the small trace: 3 frames of 2 x 3 tokens."""


def pictures(seed: int = 0) -> list[NDArray[np.uint8]]:
    """Noise that holds the colours of edges too: a reader must not take the photograph for a cell."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    noise[:, ::3, ::3] = STATUS_LOOKS[0].edge
    return list(noise)


def shown(status: NDArray[np.uint8], method: str = "focus", seed: int = 0) -> ShownSample:
    cells = np.array(
        [[f, 20 * c, 20 * r, 20 * c + 20, 20 * r + 20] for f in range(3) for r in (0, 1) for c in range(3)],
        dtype=np.int32,
    )
    kept = []
    for number, picture in enumerate(pictures(seed)):
        sink = io.BytesIO()
        Image.fromarray(picture).save(sink, format="PNG")
        kept.append(KeptPicture(f"frame {number}", 60, 40, sink.getvalue()))
    header = tiny_trace().header.model_copy(update={"method": method})
    frames = SampleFrames(header.samples[0].sample_id, "Was? 什么 <b>?", tuple(kept), cells)
    represented_by = np.tile(np.arange(TOKENS, dtype=np.int32), (LAYERS, 1))
    token_status = SampleTokenStatus(status.astype(np.uint8), represented_by)
    return ShownSample(
        Path(f"{method}.counts.parquet"), header, 0, token_status, None, frames, tuple(pictures(seed)), ()
    )


def read_back(sheet: Sheet, looks: tuple[Look, ...]) -> NDArray[np.int64]:
    """Return the state of every token, from the colour of the whole outline of its cell."""
    found = np.full(TOKENS, -1)
    for panel in sheet.panels:
        for token, (left, top, right, bottom) in zip(panel.map.tokens, panel.map.cells.tolist(), strict=True):
            cell = sheet.pixels[panel.top + top : panel.top + bottom, panel.left + left : panel.left + right]
            outline = np.concatenate((cell[0], cell[-1], cell[:, 0], cell[:, -1]))
            fits = [(outline == look.edge).all() for look in looks]
            found[token] = fits.index(True)
    return found


states = st.lists(
    st.lists(st.integers(0, 5), min_size=TOKENS, max_size=TOKENS), min_size=LAYERS, max_size=LAYERS
).map(np.array)


@settings(max_examples=25, deadline=None)
@given(status=states, seed=st.integers(0, 3))
def test_the_picture_holds_as_many_cells_of_each_state_as_the_trace(
    status: NDArray[np.int64], seed: int
) -> None:
    scene = status_scene(shown(status, seed=seed))
    maker = SheetMaker(scene)
    for layer in (0, LAYERS - 1):
        sheet = maker.draw(layer)
        np.testing.assert_array_equal(read_back(sheet, STATUS_LOOKS), status[layer])
        is_kept = status[layer] <= 2
        assert scene.kept(layer) == is_kept.sum()
        # Pixels, too: in a picture, a colour of edges stands nowhere else.
        for panel in sheet.panels:
            rows, columns = panel.map.owner.shape
            area = sheet.pixels[panel.top : panel.top + rows, panel.left : panel.left + columns]
            inked = area[..., 2] % 2 == 1
            background = np.full_like(inked, False)
            background[panel.map.owner < 0] = True
            assert not (inked & background).any()
            owners = np.unique(panel.map.owner[inked])
            assert len(owners) == len(panel.map.tokens)
            blue = (area == STATUS_LOOKS[0].edge).all(axis=-1)
            assert len(np.unique(panel.map.owner[blue])) == (status[layer][panel.map.tokens] == 0).sum()


@settings(max_examples=15, deadline=None)
@given(one=states, two=states)
def test_a_comparison_is_symmetric(one: NDArray[np.int64], two: NDArray[np.int64]) -> None:
    forth = difference_scene(shown(one), shown(two, "cmc"))
    back = difference_scene(shown(two, "cmc"), shown(one))
    swapped = np.array([0, 2, 1, 3])[forth.states]
    np.testing.assert_array_equal(back.states, swapped)
    first, second = one <= 2, two <= 2
    for layer in range(LAYERS):
        both = (first & second)[layer].sum()
        assert forth.counts(layer) == [
            both,
            first[layer].sum() - both,
            second[layer].sum() - both,
            TOKENS - (first | second)[layer].sum(),
        ]
    np.testing.assert_array_equal(read_back(SheetMaker(forth).draw(0), DIFFERENCE_LOOKS), forth.states[0])


def test_a_method_compared_with_itself_differs_nowhere() -> None:
    status = np.arange(LAYERS * TOKENS).reshape(LAYERS, TOKENS) % 6
    scene = difference_scene(shown(status), shown(status))
    assert set(np.unique(scene.states)) == {0, 3}


def test_other_pictures_are_not_compared() -> None:
    status = np.zeros((LAYERS, TOKENS))
    with pytest.raises(ConfigError, match="unequal inputs: the pictures of sample"):
        difference_scene(shown(status), shown(status, seed=1))


def test_a_layer_that_does_not_exist_is_named() -> None:
    scene = status_scene(shown(np.zeros((LAYERS, TOKENS))))
    assert scene.check_layer(None) == LAYERS - 1
    for layer in (-1, 3):
        with pytest.raises(ConfigError, match=f"layer {layer}: the trace has layers 0 to 2"):
            scene.check_layer(layer)


def page(scene: Scene, path: Path) -> str:
    write_page(scene, 1, path)
    return path.read_text(encoding="utf-8")


def test_the_page_holds_no_address_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    status = np.arange(LAYERS * TOKENS).reshape(LAYERS, TOKENS) % 6
    text = page(status_scene(shown(status)), tmp_path / "a.html")
    assert text == page(status_scene(shown(status)), tmp_path / "b.html")
    for word in ("http://", "https://", "//cdn", "<b>", "@import", "fetch(", "XMLHttp"):
        assert word not in text
    assert "default-src 'none'" in text
    assert "&lt;b&gt;" in text


def test_edges_can_be_told_from_everything_else_by_their_blue() -> None:
    for looks in (STATUS_LOOKS, DIFFERENCE_LOOKS):
        assert all(look.edge[2] % 2 for look in looks)
        assert len({look.edge for look in looks}) == len(looks)


def test_a_line_of_parameters_ends_behind_a_whole_pair() -> None:
    text = _parameters(
        {"alphas": [1.0, 0.4], "vector_size": 32, **{f"name_{place}": place for place in range(40)}}
    )
    assert text.startswith("configured: alphas [1.0, 0.4]; name_0 0; ")
    lines = _first_lines(_wrapped(text, 640), 2)
    assert len(lines) == 2
    assert lines[-1].endswith("; \u2026")
    pairs = " ".join(lines).removeprefix("configured: ").removesuffix("; \u2026").split("; ")
    assert all(len(pair.split(" ", 1)) == 2 for pair in pairs)
    assert _first_lines(["one", "two"], 2) == ["one", "two"]
    assert _first_lines(["What is", "in this picture", "?"], 2) == ["What is", "in this pictu\u2026"]
