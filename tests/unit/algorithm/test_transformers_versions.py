"""Is each difference between transformers versions known in one file, and right on both sides of it?"""

from __future__ import annotations

import logging
import re
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import transformers.modeling_outputs

import attach_support as support
from focal.environment import checks, require_runnable
from focal.testing.prompts import tiny as tiny_model
from focal_algorithm import transformers_versions
from focal_algorithm.hooks import attach
from focal_algorithm.transformers_versions import NEWEST, OLDEST, cache_in, cache_name, cache_of
from focal_common.errors import UnsupportedError

ROOT = Path(__file__).parents[3]
OLD_NAME = "past_" + "key_values"


@dataclass
class OutputBefore524:
    last_hidden_state: Any = None
    past_key_values: Any = None


@dataclass
class OutputSince524:
    last_hidden_state: Any = None
    cache: Any = None

    @property
    def past_key_values(self) -> Any:
        raise AssertionError("the old name is deprecated here")


@dataclass
class OutputOfTomorrow:
    last_hidden_state: Any = None


@pytest.fixture
def output_class(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[type]:
    monkeypatch.setattr(transformers.modeling_outputs, "BaseModelOutputWithPast", request.param)
    cache_name.cache_clear()
    yield request.param
    cache_name.cache_clear()


@pytest.mark.parametrize(
    ("output_class", "name"),
    [(OutputBefore524, OLD_NAME), (OutputSince524, "cache")],
    indirect=["output_class"],
)
def test_the_cache_has_the_name_of_the_library(output_class: type, name: str) -> None:
    held = object()
    assert cache_name() == name
    assert cache_of(output_class(**{name: held})) is held
    assert cache_of(output_class()) is None


@pytest.mark.parametrize("output_class", [OutputOfTomorrow], indirect=True)
def test_a_third_name_is_refused(output_class: type) -> None:
    with pytest.raises(UnsupportedError, match=f"neither cache nor {OLD_NAME}; Focal was run with {OLDEST}"):
        cache_name()


@pytest.mark.parametrize("name", [OLD_NAME, "cache"])
def test_a_cache_is_found_under_either_name(name: str) -> None:
    held = object()
    assert cache_in({"use_cache": True, name: held}) is held
    assert cache_in({"cache": None, OLD_NAME: None, name: held}) is held
    assert cache_in({"use_cache": True, name: None}) is None
    assert cache_in({}) is None


@pytest.mark.parametrize("name", [OLD_NAME, "cache"])
def test_a_step_onto_a_filled_cache_is_no_prefill_under_either_name(name: str) -> None:
    loaded = support.tiny()
    filled = transformers.DynamicCache()
    filled.update(torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4), 0)
    with (
        attach(loaded.model, loaded.adapter, support.suited("focus")) as session,
        pytest.raises(UnsupportedError, match="did not see how this DynamicCache was filled"),
    ):
        session.on_decoder_inputs({"inputs_embeds": torch.zeros(1, 1, 8), name: filled})


@pytest.mark.parametrize(
    ("installed", "is_run"),
    [
        ("4.57.6", False),
        ("5.17.0", False),
        (OLDEST, True),
        ("5.18.0.dev0", True),
        ("5.22.2", True),
        (NEWEST, True),
        ("5.24.1", True),
        ("5.25.0", False),
        ("6.0.0", False),
        ("5", False),
        ("garbage", False),
    ],
)
def test_a_version_that_was_not_run_is_refused_by_name(
    installed: str, is_run: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_versions, "version", lambda name: installed)
    advice = {check.subject: check.advice for check in checks()}["transformers"]
    if is_run:
        require_runnable()
        assert advice == ""
        return
    with pytest.raises(
        UnsupportedError, match=rf"transformers {re.escape(installed)} is installed, .*{OLDEST}"
    ):
        require_runnable()
    assert "pip install 'transformers>=" in advice
    with pytest.raises(UnsupportedError, match="is installed, and Focal was run with"):
        tiny_model.__wrapped__("llava")  # not the one that a test before has loaded


def test_the_declared_bounds_are_the_versions_that_were_run() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bounds,) = (
        line for line in project["optional-dependencies"]["algorithm"] if line.startswith("transformers")
    )
    major, minor, _ = NEWEST.split(".")
    assert bounds == f"transformers>={OLDEST},<{major}.{int(minor) + 1}"


def test_decoding_under_a_method_uses_no_deprecated_name(caplog: pytest.LogCaptureFixture) -> None:
    loaded, prompt = support.tiny(), support.prompt()
    caplog.set_level(logging.WARNING, "transformers")
    logger = logging.getLogger("transformers")
    propagates, logger.propagate = logger.propagate, True
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("error", FutureWarning)
            warnings.simplefilter("error", DeprecationWarning)
            with attach(loaded.model, loaded.adapter, support.suited("focus")):
                support.generate(prompt.inputs)
                held = cache_of(loaded.model(**prompt.inputs, use_cache=True))
                loaded.model(input_ids=torch.tensor([[65]]), use_cache=True, **{cache_name(): held})
    finally:
        logger.propagate = propagates
    assert not [one for one in caplog.messages if "deprecat" in one]


def test_no_other_file_names_the_cache_or_asks_for_a_version_of_transformers() -> None:
    own = Path(transformers_versions.__file__)
    folders = (
        "algorithm",
        "common",
        "evaluation_scripts",
        "focal",
        "simulator",
        "traces",
        "benchmarks",
        "tests",
    )
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert own in files
    for path in files:
        if path in (own, Path(__file__)):
            continue
        text = path.read_text()
        assert OLD_NAME not in text, path
        assert not re.search(r"(transformers|hf)\.__version__|is_transformers_\w*version", text), path
        assert not re.search(r"\bversion\(\s*[\"']transformers[\"']\s*\)", text), path
    # The new name is a plain word, which other things are called, too; not in the rooms that run models.
    rooms = [own.parent / name for name in ("hooks", "models", "evaluation/offline")]
    for room in (*rooms, ROOT / "focal" / "studies" / "sparsezip"):
        paths = sorted(room.rglob("*.py"))
        assert paths
        for path in paths:
            assert not re.search(r"\bcache=|[\"']cache[\"']", path.read_text()), path
