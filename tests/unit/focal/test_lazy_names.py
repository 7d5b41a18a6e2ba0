"""Does the public face offer its names without loading what they need, and do all of them exist?"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import focal
from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS
from focal_algorithm.models.weights import SHIPPED
from focal_simulator.accelerators import ACCELERATORS

HEAVY = ("torch", "numba", "pandas", "matplotlib", "transformers", "numpy", "scipy", "pyarrow")


def typed_names() -> set[str]:
    """Names that a type checker sees: those imported under TYPE_CHECKING."""
    tree = ast.parse(Path(focal.__file__).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    names = [alias.name for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return set(names)


def test_importing_it_and_listing_plug_ins_loads_nothing_heavy() -> None:
    program = (
        "import sys, focal; dir(focal); focal.methods(); focal.models(); focal.accelerators(); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_a_type_checker_sees_is_what_there_is() -> None:
    assert typed_names() | {"__version__"} == set(focal.__all__) == set(dir(focal))
    for name in focal.__all__:
        value = getattr(focal, name)
        assert name == "__version__" or value.__name__ == name


def test_every_method_has_its_class_under_its_own_name() -> None:
    classes = {METHODS.target(name).rpartition(":")[2]: name for name in METHODS}
    for name, method in classes.items():
        assert getattr(focal, name) is METHODS.load(method)
        assert name in focal.__all__


def test_plug_ins_are_listed_by_name() -> None:
    assert focal.methods() == tuple(METHODS)
    assert focal.models() == (*SHIPPED, *MODELS)
    assert focal.accelerators() == tuple(ACCELERATORS)


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="no attribute 'VisonZip'; did you mean 'VisionZip'"):
        focal.VisonZip  # noqa: B018


def test_simulating_a_trace_root_loads_no_torch() -> None:
    program = (
        "import sys, focal; "
        "focal.simulate('example_output/published', 'dense', models=['llava_vid'], datasets=['mlvu']).frame(); "
        "print('torch' in sys.modules)"
    )
    root = Path(focal.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
