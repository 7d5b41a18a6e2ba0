"""Bank-level memory model: parameters, exact replay, and the memoised service the cycle engine uses.

Does not model power-down, close-page policies, per-bank or self refresh, ECC, or on-die termination.
"""

from focal_simulator.dram.patterns import AccessPattern
from focal_simulator.dram.replay import ReplayResult, replay
from focal_simulator.dram.service import DramModel, DramService, SteadyState
from focal_simulator.dram.specs import load_dram_spec, preset_names, read_memory
from focal_simulator.hardware.memory import DramSpec

__all__ = [
    "AccessPattern",
    "DramModel",
    "DramService",
    "DramSpec",
    "ReplayResult",
    "SteadyState",
    "load_dram_spec",
    "preset_names",
    "read_memory",
    "replay",
]
