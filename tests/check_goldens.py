"""Run golden files through our functions: ``python tests/check_goldens.py PATH...`` (files or folders).

Prints ``ok NAME`` or what differs for each file and a summary. Exit code 0 only if every file is ok, 1 if one
differs, is damaged or has no handler, 2 if no file was found. A handler is a module of ``tests/goldens`` with
``PREFIX`` (a file-name start or a tuple of them) and ``check(path) -> list[str]`` (what differs).
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

SUFFIXES = (".npz", ".json", ".csv")
# Files that lie beside goldens and hold none.
NOT_GOLDEN = ("manifest.json",)


def handlers() -> dict[str, ModuleType]:
    """Return each prefix with its handler, the longest prefix first."""
    import goldens

    found: dict[str, ModuleType] = {}
    for entry in pkgutil.iter_modules(goldens.__path__):
        module = importlib.import_module(f"goldens.{entry.name}")
        prefixes = getattr(module, "PREFIX", ())
        for prefix in (prefixes,) if isinstance(prefixes, str) else prefixes:
            if prefix in found:
                raise RuntimeError(f"{module.__name__} and {found[prefix].__name__} both claim {prefix!r}")
            found[prefix] = module
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def golden_files(paths: Iterable[str]) -> list[Path]:
    """Return the files named, and those with a golden suffix inside the folders named, each once."""
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(path.rglob("*"))
            files.update((file, None) for file in inside if file.suffix in SUFFIXES and file.is_file())
        else:
            files[path] = None
    return [file for file in files if file.name not in NOT_GOLDEN]


def verdict(path: Path, known: dict[str, ModuleType]) -> list[str]:
    """Return what is wrong with a file; nothing if it is ok."""
    handler = next((module for prefix, module in known.items() if path.name.startswith(prefix)), None)
    if not path.is_file():
        return ["no such file"]
    if handler is None:
        return [f"unknown: no handler for this name; known starts: {', '.join(sorted(known))}"]
    try:
        return list(handler.check(path))
    except Exception as error:  # one damaged file must not hide the verdict on the others
        return [f"could not be checked: {type(error).__name__}: {error}"]


def main(paths: list[str]) -> int:
    """Check all files, print the verdicts and return the exit code."""
    if not paths:
        print(__doc__)
        return 2
    files = golden_files(paths)
    if not files:
        print(f"no golden files ({', '.join(SUFFIXES)}) in: {', '.join(paths)}", file=sys.stderr)
        return 2
    known = handlers()
    failed = 0
    for path in files:
        wrong = verdict(path, known)
        failed += bool(wrong)
        print(f"ok {path.name}" if not wrong else f"DIFFERS {path.name}")
        for line in wrong:
            print(f"    {line}")
    print(f"{len(files) - failed} of {len(files)} golden files ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main(sys.argv[1:]))
