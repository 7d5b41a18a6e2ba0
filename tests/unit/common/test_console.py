"""Does progress stay out of what is not a terminal?"""

from __future__ import annotations

import pytest

from focal_common.console import track


def test_a_progress_bar_writes_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(3), "counting")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
