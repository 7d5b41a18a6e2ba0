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
        is_assumption: Whether it changes what the paper takes for granted, rather than mend what its simulator gets
            wrong; such a correction is on only where it is named.
    """

    name: str
    defects: tuple[str, ...]
    published: str
    corrected: str
    order: float = 100
    is_assumption: bool = False


COMMON_CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "array_latencies",
        ("D18",),
        "the last output of a fold is there at the last index that SCALE-Sim prints, and scatter reads it at once",
        "outputs are in their buffer 2 cycles later and scatter reads a row 3 cycles later, as in RTL",
        order=0.5,
    ),
    Correction(
        "causal_triangle",
        ("D26",),
        "every query of an m-tile meets the keys up to the end of the tile; MACs of causal attention leave out the "
        "diagonal",
        "queries of a tile meet the keys up to their own place, in steps of an eighth of the tile; MACs count the "
        "diagonal",
        order=1.3,
    ),
    Correction(
        "shared_keys",
        ("D20",),
        "each query head of a group fetches keys and values by itself",
        "heads that share keys and values lie side by side in an m-tile as far as their rows fit, and fetch them once",
        order=1.6,
    ),
    Correction(
        "group_mean",
        ("D21",),
        "gather takes a cycle for each candidate; the mean of a group takes none",
        "reading out the mean of a group takes `core.group_mean` cycles more a unique vector",
        order=4.2,
    ),
    Correction(
        "gate_product",
        ("D22",),
        "the output of gate_proj is written at the size that its product with up_proj will have after concentration, "
        "and reading it back for that product is free",
        "it is written whole, and up_proj reads it back",
        order=4.4,
    ),
    Correction(
        "residual_stream",
        ("D21",),
        "the residual stream costs nothing in DRAM",
        "o_proj and down_proj read it back; where their output is concentrated, all of it is written beside that",
        order=4.6,
    ),
    Correction(
        "importance_rows",
        ("D21",),
        "the importance of tokens comes from attention rows of text queries that take no time",
        "blocks that drop tokens compute Q x K^T of text queries before they sort, 100 where a prompt does not say",
        order=5.5,
    ),
    Correction(
        "whole_rows",
        ("D21",),
        "outputs are normalised and concentrated as they leave the array, an n-tile at a time",
        "o_proj and down_proj write their rows whole, and read them back to normalise and concentrate them: RMSNorm "
        "needs the whole row",
        order=4.8,
        is_assumption=True,
    ),
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
