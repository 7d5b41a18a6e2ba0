"""Does the default Focus schedule follow the depth of the decoder?"""

import pytest

from focal_algorithm.methods.focus import Focus
from focal_traces.header.schema import QWEN2_7B


@pytest.mark.parametrize(
    ("layers", "selected", "alphas"),
    [
        (24, (1, 4, 6, 13, 21), (0.4, 0.3, 0.2, 0.15, 0.1)),
        (4, (0, 1, 2, 3), (0.3, 0.2, 0.15, 0.1)),
        (56, (4, 10, 16, 32, 50), (0.4, 0.3, 0.2, 0.15, 0.1)),
    ],
)
def test_layers_keep_their_relative_depth(
    layers: int, selected: tuple[int, ...], alphas: tuple[float, ...]
) -> None:
    fitted = Focus.study.fitted(QWEN2_7B.model_copy(update={"layers": layers}))
    assert fitted == {"selected_layers": selected, "alpha_list": alphas}
    Focus(**fitted)


def test_the_published_depth_keeps_the_published_schedule() -> None:
    assert Focus.study.fitted(QWEN2_7B) == {}
