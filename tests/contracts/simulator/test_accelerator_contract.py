"""Is every accelerator plug-in lawful? The contract that outside plug-ins inherit, once for each of ours."""

from focal.testing import AcceleratorContract, ParityContract
from focal_simulator.accelerators import ACCELERATORS

for name in ACCELERATORS:
    title = f"Test_{name}"
    globals()[title] = type(title, (ParityContract,), {"accelerator": name, "sram": "compiler"})


class TestAnArrayOfAnotherSize(AcceleratorContract):
    accelerator = "dense"
    overrides = ("core.array_rows=16", "core.array_columns=8")
