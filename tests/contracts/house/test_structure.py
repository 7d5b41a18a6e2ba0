"""Does the house stay as it was built? Each test holds one contract of docs/design/0005-house.md.

The floors are held by import-linter (pyproject.toml).
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

import pytest
import typer
from house_figures import circles, import_graph, imports_in_functions, module_name, product_files

from focal.commands.main import VERBS
from focal_algorithm.methods import METHODS
from focal_algorithm.models import MODELS
from focal_common.registry import Registry
from focal_simulator.accelerators import ACCELERATORS

LIBRARIES = ("common/", "traces/", "algorithm/", "simulator/", "evaluation_scripts/")
EAGER = tuple(f"simulator/focal_simulator/{room}/" for room in ("engine", "accelerators", "jobs"))
FLAG = re.compile(r"(?<![\w-])--[a-z{]")
OTHER_FLAGS = {
    "--porcelain": "git's",
    "hf download": "of the Hub's own program",
    '" --revision': "of the Hub's own program",
    'node["source"]': "record in a hardware file, and part of the hashes of results: not to change",
}
STARTS = re.compile(r"\b(subprocess|sys\.executable|os\.system|os\.exec\w+|os\.spawn\w+)\b")
STARTERS = {
    "common/focal_common/provenance.py": "asks git for the commit",
    "simulator/focal_simulator/costs/sram_cacti.py": "runs a CACTI binary of the user's",
    "focal/studies/measure/command.py": "runs a command line of the user's for each design of a study",
    "rtl/sim/build.py": "runs Verilator, a C++ compiler and what they build",
    "rtl/sim/gates.py": "runs yosys",
}
"""Files that may start a program, and which; nobody starts our own packages to call them."""
ADVICE_OF_A_VERB = "focal/support.py"
"""What ``focal doctor`` prints, in the words of the command line."""
TABLES = ("focal/__init__.py", "focal/testing/__init__.py")
"""Files whose table of module names is the registry of what they offer."""


@lru_cache(maxsize=1)
def sources() -> dict[str, str]:
    return product_files()


@cache
def tree(path: str) -> ast.Module:
    return ast.parse(sources()[path])


def test_no_modules_import_one_another() -> None:
    assert circles(import_graph(sources())) == []


def test_a_circle_would_be_found() -> None:
    text = "from focal_common.b import x\n"
    pair = {"common/focal_common/a.py": text, "common/focal_common/b.py": text.replace(".b", ".a")}
    assert circles(import_graph(pair)) == [["focal_common.a", "focal_common.b"]]


def test_engine_accelerators_and_jobs_import_at_the_top() -> None:
    assert [place for place in imports_in_functions(sources()) if place.startswith(EAGER)] == []
    fault = {"simulator/focal_simulator/engine/x.py": "def f():\n    from focal_simulator.jobs import y\n"}
    assert imports_in_functions(fault) == ["simulator/focal_simulator/engine/x.py:2"]


def strings(node: ast.AST) -> Iterator[ast.Constant]:
    """Every text below a node that is no part of a table of plug-ins and names no resource folder."""
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name in ("Registry", "add", "files", "ModelManifest"):
            return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from strings(child)


def named_modules(path: str, modules: set[str]) -> list[str]:
    found = []
    for one in strings(tree(path)):
        module = one.value.partition(":")[0]
        parent = module.rpartition(".")[0]
        if "." in module and (module in modules or ("." in parent and parent in modules)):
            found.append(f"{path}:{one.lineno}: {one.value}")
    return found


def test_modules_are_named_by_strings_in_registries_only() -> None:
    modules = {module_name(path) for path in sources()}
    found = [
        line
        for path in sources()
        if path not in TABLES
        for line in named_modules(path, modules)
        if not path.startswith("focal/commands/main.py")
    ]
    assert found == []


def test_a_module_in_a_string_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "simulator/focal_simulator/x.py"
    monkeypatch.setitem(sources(), path, 'load("focal_evaluation.exhibits.headline:draw")\n')
    assert named_modules(path, {"focal_evaluation.exhibits.headline"}) == [
        f"{path}:1: focal_evaluation.exhibits.headline:draw"
    ]


def test_no_package_starts_a_program_but_those_of_others() -> None:
    found = {path for path, text in sources().items() if STARTS.search(text)}
    assert found == STARTERS.keys()


def test_libraries_and_the_face_name_no_command_line_option() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in sources().items()
        if path.startswith(LIBRARIES) or (re.fullmatch(r"focal/\w+\.py", path) and path != ADVICE_OF_A_VERB)
        for number, line in enumerate(text.splitlines(), 1)
        if FLAG.search(line) and not any(word in line for word in OTHER_FLAGS)
    ]
    assert found == []


def settings_named_by_errors() -> Iterator[tuple[str, str]]:
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.keyword) and node.arg == "about" and isinstance(node.value, ast.Tuple):
                for one in node.value.elts:
                    assert isinstance(one, ast.Constant)
                    yield f"{path}:{one.lineno}", str(one.value)


def test_every_setting_that_an_error_names_is_an_option_of_some_verb() -> None:
    def parameters(command: object) -> set[str]:
        inner = getattr(command, "commands", {}).values()
        own = {one.name for one in command.params if one.opts[0].startswith("-")}  # type: ignore[attr-defined]
        return own.union(*map(parameters, inner))

    known = set[str]().union(*(parameters(typer.main.get_command(VERBS.load(verb))) for verb in VERBS))
    named = list(settings_named_by_errors())
    assert len(named) > 40
    assert [place for place, name in named if name not in known] == []


@pytest.mark.parametrize(
    "registry", [METHODS, MODELS, ACCELERATORS], ids=["methods", "models", "accelerators"]
)
def test_every_plug_in_is_held_apart_from_the_others(registry: Registry[object]) -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    apart = {
        module
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "independence"
        for module in contract["modules"]
    }
    homes = {name: registry.target(name).partition(":")[0] for name in registry}
    assert [name for name, home in homes.items() if not {home, home.rpartition(".")[0]} & apart] == []
