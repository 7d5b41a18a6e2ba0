"""Prints the figures by which the structure of the product is judged; contract tests hold some of them.

    python benchmarks/house_figures.py [REVISION]

A revision is read from git, so that two states can be compared without a checkout. Product code is every Python file
outside tests/ and benchmarks/. Only the standard library is used.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

__all__ = ["circles", "import_graph", "imports_in_functions", "product_files", "public_members"]

_SOURCE_ROOTS = ("common", "traces", "algorithm", "simulator", "evaluation_scripts")
_INTERFACES = {"method": "CompressionMethod", "model": "ModelAdapter", "accelerator": "Accelerator"}


def product_files(revision: str | None = None) -> dict[str, str]:
    """Return path to source text of every product file, in the working tree or at a git revision."""
    listing = (
        ["git", "ls-files", "*.py"] if revision is None else ["git", "ls-tree", "-r", "--name-only", revision]
    )
    names = [name for name in _run(listing).splitlines() if name.endswith(".py")]
    names = [name for name in names if not name.startswith(("tests/", "benchmarks/"))]
    if revision is None:
        return {name: Path(name).read_text(encoding="utf-8") for name in names}
    return {name: _run(["git", "show", f"{revision}:{name}"]) for name in names}


def module_name(path: str) -> str:
    """Return the dotted name under which a product file is imported."""
    parts = list(PurePosixPath(path).with_suffix("").parts)
    if parts[0] in _SOURCE_ROOTS:
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return module to the product modules it imports, anywhere in it, type-only and inside functions included."""
    modules = {module_name(path): path for path in sources}
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        for node in ast.walk(ast.parse(sources[path])):
            for target in _targets(node):
                while target and target not in modules:
                    target = target.rpartition(".")[0]
                if target and target != module and not module.startswith(f"{target}."):
                    graph[module].add(target)
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the groups of two or more modules that import one another, largest first (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = low[module] = len(order)
        stack.append(module)
        for target in graph[module]:
            if target not in order:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], order[target])
        if low[module] == order[module]:
            group: list[str] = []
            while not group or group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for module in graph:
        if module not in order:
            visit(module)
    return sorted(found, key=len, reverse=True)


def imports_in_functions(sources: Mapping[str, str]) -> list[str]:
    """Return ``path:line`` of every import of a product module that stands inside a function."""
    found = []
    for path, text in sources.items():
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found += [
                    f"{path}:{node.lineno}"
                    for node in ast.walk(function)
                    if any(target.partition(".")[0].startswith("focal") for target in _targets(node))
                ]
    return sorted(set(found))


def public_members(sources: Mapping[str, str], class_name: str) -> list[str]:
    """Return the public names that a class body defines: methods, properties, class variables and fields."""
    for text in sources.values():
        if f"class {class_name}(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and node.name == class_name:
                return sorted(
                    {name for item in node.body for name in _defined(item) if not name.startswith("_")}
                )
    return []


def _targets(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            yield f"{node.module}.{alias.name}"
    elif isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name


def _defined(item: ast.stmt) -> list[str]:
    if isinstance(item, ast.FunctionDef):
        return [item.name]
    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
        return [item.target.id]
    if isinstance(item, ast.Assign):
        return [target.id for target in item.targets if isinstance(target, ast.Name)]
    return []


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _main(revision: str | None) -> None:
    sources = product_files(revision)
    lines = {path: text.count("\n") for path, text in sources.items()}
    graph = import_graph(sources)
    top: dict[str, int] = defaultdict(int)
    for path in sources:
        place = PurePosixPath(path)
        if place.name != "__init__.py" and place.parent.name.startswith("focal"):
            top[str(place.parent)] += 1
    print(f"product lines              {sum(lines.values()):>7,}")
    print(f"product files              {len(lines):>7,}")
    print(f"imports inside functions   {len(imports_in_functions(sources)):>7,}")
    groups = circles(graph)
    print(f"import circles             {len(groups):>7,}   {[len(group) for group in groups]}")
    for label, name in _INTERFACES.items():
        print(f"members of the {label:<12}{len(public_members(sources, name)):>7,}")
    for folder, count in sorted(top.items()):
        print(f"modules at the top of {folder:<40}{count:>4}")
    for group in groups:
        print("circle: " + ", ".join(group))


if __name__ == "__main__":
    _main(sys.argv[1] if len(sys.argv) > 1 else None)
