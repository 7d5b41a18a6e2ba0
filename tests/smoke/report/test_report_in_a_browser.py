"""Does the report open in a browser without a console message or a request, and do its controls work?

Needs the package playwright and a headless Chromium; run with ``-m external``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exhibit_support import cycle_folder
from focal_evaluation.report.html import write_report
from focal_evaluation.report.runs import read_runs
from published_support import ROOT

pytestmark = pytest.mark.external

HOSTILE = "</script><img src='http://evil.example/x.png' onerror=alert(1)>"


def _chromium() -> str | None:
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Any, list[str], list[str]]]:
    """The page, its messages and its requests."""
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = _chromium()
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    folder = cycle_folder(tmp_path / "run", datasets=("x", HOSTILE, "z"))
    write_report(read_runs([folder]), ROOT, tmp_path / "report.html")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        messages: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector("#map-causes .barlayer .point")
        yield page, messages, requests
        browser.close()


def test_the_page_is_quiet_and_its_controls_work(opened: tuple[Any, list[str], list[str]]) -> None:
    page, messages, requests = opened
    page.click("#headline-table th:nth-child(4) button")
    cells = "#headline-table tbody td:nth-child(4)"
    values = page.eval_on_selector_all(cells, "cells => cells.map(cell => Number(cell.dataset.value))")
    assert values == sorted(values)
    assert len(set(values)) > 1
    page.click("#headline-table th:nth-child(4) button")
    assert (
        page.eval_on_selector_all(cells, "cells => cells.map(cell => Number(cell.dataset.value))")
        == values[::-1]
    )

    bar = page.locator("#speedup .barlayer .point path").first
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#speedup .hoverlayer text")

    page.focus("#map-block")
    page.keyboard.press("ArrowRight")
    assert page.text_content("#map-block-value") == "1"
    assert "block 1" in page.text_content("#map-causes .xtitle")
    page.select_option("#map-workload", index=1)

    page.fill("#filter", "focus z")
    rows = "#headline-table tbody tr"
    assert page.eval_on_selector_all(rows, "rows => rows.filter(row => !row.hidden).length") == 1

    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
