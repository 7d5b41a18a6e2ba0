"""Named switches between an assumption of the published simulator and what this engine models instead.

With all of them off the engine repeats the published assumptions (accelerators without concentration then agree with
fidelity ``parity`` cycle for cycle), so the effect of each can be told apart. Those that hold for every accelerator
are here; `focal_simulator.accelerators.corrections` adds those of single ones.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Correction:
    """One switch.

    Attributes:
        name: Word that switches it.
        defects: Numbers in the list of defects of the published simulator (docs/parity.md).
        published: What is assumed when the switch is off.
        corrected: What is modelled when it is on.
        order: Generated tables apply corrections by it: what is computed, what one accelerator does, then memory
            and energy; those of other distributions go last.
    """

    name: str
    defects: tuple[str, ...]
    published: str
    corrected: str
    order: int = 100


COMMON_CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "tile_lengths",
        ("D3", "D27"),
        "every tile and k-slice of a layer has the layer's average number of rows, rounded",
        "each tile and k-slice has the rows that the trace counted; a last tile may be short",
        order=0,
    ),
    Correction(
        "causal_tiles",
        ("D26",),
        "attention costs half of the full square",
        "each m-tile meets the keys up to its own end",
        order=1,
    ),
    Correction(
        "attention_scatter",
        ("D4",),
        "scores are scattered as if no key had been pruned and no key were masked",
        "scores are scattered for the keys that are there, fold by fold",
        order=2,
    ),
    Correction(
        "attention_traffic",
        ("D1",),
        "attention bytes as published: one head of 28, a token number that turns negative after pruning",
        "bytes of all heads, from the tiles that are timed",
        order=3,
    ),
    Correction(
        "stored_outputs",
        ("D22",),
        "outputs are written with the row count of the layer's input; similarity maps cost nothing in DRAM",
        "outputs are written with the count of the layer that reads them, only those that are concentrated "
        "are gathered, and maps of 2 bytes a row and slice are written and fetched",
        order=4,
    ),
    Correction(
        "special_functions",
        ("D21",),
        "softmax, normalisation, position embedding, activation and token sorting take no time",
        "they run on the special-function unit and the sorter beside the array; what does not hide counts",
        order=5,
    ),
    Correction(
        "dram_stalls",
        ("D2",),
        "DRAM never stalls anything",
        "fetches and write-backs take the time of the DRAM system, double-buffered",
        order=10,
    ),
    Correction(
        "dram_energy",
        ("D2",),
        "99.98 pJ for every byte",
        "energy per command (activate, read, write) and background power of the DRAM system",
        order=11,
    ),
    Correction(
        "sram_energy",
        ("D5", "D6"),
        "buffers draw their power at full activity all the time",
        "energy per access and leakage",
        order=12,
    ),
    Correction(
        "core_energy",
        ("D23",),
        "every unit of the core draws its full power all the time",
        "each unit draws its power while it works, and leakage otherwise",
        order=13,
    ),
)
