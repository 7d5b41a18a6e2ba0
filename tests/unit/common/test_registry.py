"""Is a plug-in found by name, loaded late, and is a typo answered with the near match?"""

import sys

import pytest

from focal_common.errors import ConfigError
from focal_common.registry import Registry


def families() -> Registry[object]:
    return Registry("encoder", {"json": "json:JSONEncoder", "wave": "wave"}, group="focal.none")


def test_listing_names_imports_nothing() -> None:
    sys.modules.pop("wave", None)
    registry = families()
    assert list(registry) == ["json", "wave"]
    assert "json" in registry
    assert "wave" not in sys.modules


def test_an_attribute_and_a_whole_module_both_load() -> None:
    import json
    import wave

    assert families().load("json") is json.JSONEncoder
    assert families().load("wave") is wave


def test_an_unknown_name_lists_near_matches_and_all_choices() -> None:
    with pytest.raises(ConfigError, match=r"unknown encoder 'jsom'; did you mean 'json'\? Valid: json, wave"):
        families().load("jsom")
