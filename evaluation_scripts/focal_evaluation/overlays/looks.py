"""How each state of a token is drawn: colours that any colour vision tells apart, and marks for grey prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from focal_traces.records.token_status import TokenStatus

Rgb = tuple[int, int, int]
Mark = Literal["none", "dot", "slash", "cross"]


@dataclass(frozen=True)
class Look:
    """One state.

    Attributes:
        label: In the legend.
        help: One sentence for the page and the documentation.
        edge: Colour of the cell's edge and mark. Its blue is odd, that of every other drawn pixel of a picture
            even, so the cells of a state can be counted in the finished picture.
        wash: Share of the picture that is darkened away.
        mark: Drawn in the cell, so that grey prints tell states apart.
        counts: Whether the state counts as kept.
    """

    label: str
    help: str
    edge: Rgb
    wash: float = 0.0
    mark: Mark = "none"
    counts: bool = False


# Colours of Okabe and Ito (jfly.uni-koeln.de/color), blue made odd.
_BLUE, _ORANGE, _PURPLE = (0, 114, 179), (230, 159, 1), (204, 121, 167)
_SKY, _YELLOW, _DARK, _GREY = (86, 180, 233), (240, 228, 67), (77, 77, 77), (153, 153, 153)

SHADE: Rgb = (0, 158, 115)
"""Washed over present tokens by the share of their vectors that a representative replaced."""

_STATUS_LOOKS = {
    TokenStatus.KEPT: Look("kept", "stays as it is", _BLUE, counts=True),
    TokenStatus.REPRESENTATIVE: Look(
        "stands for others", "stays, and others were merged into it", _ORANGE, 0, "dot", counts=True
    ),
    TokenStatus.PADDING: Look(
        "place taken",
        "its place holds a token of none of the pictures, such as CLS",
        _PURPLE,
        0.4,
        "cross",
        True,
    ),
    TokenStatus.REPLACED: Look("replaced", "stays, with the values of another", _SKY, 0.45, "slash"),
    TokenStatus.MERGED: Look("merged away", "another token stands for it", _YELLOW, 0.6, "slash"),
    TokenStatus.DROPPED: Look("dropped", "nothing stands for it", _DARK, 0.78),
}
STATUS_LOOKS = tuple(_STATUS_LOOKS[status] for status in TokenStatus)
"""By value of `TokenStatus`."""

DIFFERENCE_LOOKS = (
    Look("kept by both", "both keep it", _GREY, counts=True),
    Look("only A", "A keeps it, B does not", _ORANGE, 0, "dot", counts=True),
    Look("only B", "B keeps it, A does not", _BLUE, 0, "slash", counts=True),
    Look("neither", "neither keeps it", _DARK, 0.78),
)
"""Of two methods A and B."""


def edges_of(looks: tuple[Look, ...]) -> NDArray[np.uint8]:
    """Return the edge colours, axes (states, channels)."""
    return np.array([look.edge for look in looks], dtype=np.uint8)
