"""Asks a CACTI 7 binary of the user's own for one SRAM macro, and remembers the answer.

The binary is run without a shell, one run per macro. Answers are kept on disk under a key of all settings and the
binary's own hash, so another build never answers for this one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from focal_common.errors import ConfigError, RunError
from focal_common.files import atomic_write_text, sha256_of_file
from focal_common.provenance import content_hash
from focal_common.reading.doors import read_text
from focal_common.reading.json_files import parse_json

_TIMEOUT_S = 120
_GOALS = "delay, dynamic power, leakage power, cycle time, area"
_PJ_PER_NJ = 1000.0

# Line of the report -> our name. Units as the report states them.
_REPORT = {
    "access_ns": r"Access time \(ns\):\s*([-+0-9.eE]+)",
    "read_nj": r"Total dynamic read energy per access \(nJ\):\s*([-+0-9.eE]+)",
    "write_nj": r"Total dynamic write energy per access \(nJ\):\s*([-+0-9.eE]+)",
    "leakage_mw": r"Total leakage power of a bank(?: without power gating[^(]*)? \(mW\):\s*([-+0-9.eE]+)",
    "gate_leakage_mw": r"Total gate leakage power of a bank \(mW\):\s*([-+0-9.eE]+)",
    "height_mm": r"Cache height x width \(mm\):\s*([-+0-9.eE]+)\s*x",
    "width_mm": r"Cache height x width \(mm\):\s*[-+0-9.eE]+\s*x\s*([-+0-9.eE]+)",
}


def configuration_text(size_bytes: int, port_bytes: int, extra_read_ports: int, node_um: float) -> str:
    """Return the input file of one run, with the settings of the published Focus artifact (HPCA 2026)."""
    settings = [
        ("size (bytes)", size_bytes),
        ("block size (bytes)", port_bytes),
        ("associativity", 1),
        ("read-write port", 1),
        ("exclusive read port", extra_read_ports),
        ("exclusive write port", 0),
        ("single ended read ports", 0),
        ("UCA bank count", 1),
        ("technology (u)", f"{node_um:g}"),
        ("page size (bits)", 4096),
        ("burst length", 8),
        ("internal prefetch width", 8),
        ("Data array cell type -", '"itrs-hp"'),
        ("Data array peripheral type -", '"itrs-hp"'),
        ("Tag array cell type -", '"itrs-hp"'),
        ("Tag array peripheral type -", '"itrs-hp"'),
        ("output/input bus width", 8 * port_bytes),
        ("operating temperature (K)", 360),
        ("cache type", '"ram"'),
        ("tag size (b)", '"default"'),
        ("access mode (normal, sequential, fast) -", '"normal"'),
        (
            f"design objective (weight {_GOALS})",
            "0:100:1000:0:100",
        ),
        (f"deviate ({_GOALS})", "20:100000:100000:100000:100000"),
        (
            f"NUCAdesign objective (weight {_GOALS})",
            "0:100:1000:0:100",
        ),
        (f"NUCAdeviate ({_GOALS})", "10:10000:10000:10000:10000"),
        ("Optimize ED or ED^2 (ED, ED^2, NONE):", '"ED"'),
        ("Cache model (NUCA, UCA)  -", '"UCA"'),
        ("NUCA bank count", 0),
        ("Wire signaling (fullswing, lowswing, default) -", '"Global_30"'),
        ("Wire inside mat -", '"semi-global"'),
        ("Wire outside mat -", '"semi-global"'),
        ("Interconnect projection -", '"conservative"'),
        ("Core count", 8),
        ("Cache level (L2/L3) -", '"L3"'),
        ("Add ECC -", '"true"'),
        ("Print level (DETAILED, CONCISE) -", '"DETAILED"'),
        ("Print input parameters -", '"true"'),
        ("Force cache config -", '"false"'),
        ("Ndwl", 1),
        ("Ndbl", 1),
        ("Nspd", 0),
        ("Ndcm", 1),
        ("Ndsam1", 0),
        ("Ndsam2", 0),
        ("Array Power Gating -", '"false"'),
        ("WL Power Gating -", '"false"'),
        ("CL Power Gating -", '"false"'),
        ("Bitline floating -", '"false"'),
        ("Interconnect Power Gating -", '"false"'),
        ("Power Gating Performance Loss", 0.01),
    ]
    return "".join(f"-{name} {value}\n" for name, value in settings)


@dataclass(frozen=True)
class CactiBinary:
    """A CACTI 7 executable.

    Attributes:
        path: The executable.
        cache_folder: Where answers are kept.
    """

    path: Path
    cache_folder: Path

    @classmethod
    def from_environment(cls) -> CactiBinary | None:
        """Return the binary named by ``FOCAL_CACTI``, or None if it is not set.

        Raises:
            ConfigError: The variable names something that cannot be run.
        """
        named = os.environ.get("FOCAL_CACTI")
        if not named:
            return None
        path = Path(named)
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise ConfigError(f"FOCAL_CACTI={named}: expected an executable CACTI 7 binary")
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(path, home / "focal" / "cacti")

    @cached_property
    def sha256(self) -> str:
        """Hash of the executable."""
        return sha256_of_file(self.path)

    def figures(
        self, size_bytes: int, port_bytes: int, extra_read_ports: int, node_um: float
    ) -> tuple[float, ...]:
        """Return the figures of one macro in the order of `focal_simulator.costs.sram_data.METRICS`.

        Raises:
            RunError: The binary failed, took over two minutes, or its report lacks a figure.
        """
        text = configuration_text(size_bytes, port_bytes, extra_read_ports, node_um)
        known = self.cache_folder / f"{content_hash([text, self.sha256])}.json"
        if known.exists():
            answer = parse_json(read_text(known, hint="remove the file"), str(known), hint="remove the file")
            if not isinstance(answer, list) or not all(isinstance(value, float) for value in answer):
                raise ConfigError(f"{known}: not a CACTI answer, expected a list of numbers; remove the file")
            return tuple(answer)
        what = f"CACTI for {size_bytes} B, port {port_bytes} B, {extra_read_ports} extra read ports"
        figures = _figures_of(self._run(text, what), port_bytes, what)
        atomic_write_text(known, json.dumps(figures))
        return figures

    def _run(self, text: str, what: str) -> str:
        with tempfile.TemporaryDirectory(prefix="focal-cacti-") as folder:
            settings = Path(folder) / "sram.cfg"
            settings.write_text(text, encoding="ascii")
            try:
                done = subprocess.run(
                    [str(self.path.resolve()), "-infile", str(settings)],
                    cwd=self.path.resolve().parent,  # it reads its technology tables beside itself
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_TIMEOUT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise RunError(f"{what}: no answer from {self.path} within {_TIMEOUT_S} s") from error
            except OSError as error:
                raise RunError(f"{what}: {self.path} could not be run ({error.strerror})") from error
        if done.returncode:
            last = " ".join((done.stderr or done.stdout).split())[-200:]
            raise RunError(f"{what}: {self.path} ended with code {done.returncode} ({last or 'no message'})")
        return done.stdout


def _figures_of(report: str, port_bytes: int, what: str) -> tuple[float, ...]:
    found: dict[str, float] = {}
    for name, pattern in _REPORT.items():
        match = re.search(pattern, report)
        if match is None:
            raise RunError(f"{what}: the report has no line for {name}; expected the report of CACTI 7")
        found[name] = float(match.group(1))
    return (
        found["height_mm"] * found["width_mm"],
        found["leakage_mw"],
        found["gate_leakage_mw"],
        found["read_nj"] / port_bytes * _PJ_PER_NJ,
        found["write_nj"] / port_bytes * _PJ_PER_NJ,
        found["access_ns"],
    )
