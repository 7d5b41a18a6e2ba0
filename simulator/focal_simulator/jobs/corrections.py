"""Named switches between an assumption of the published simulator and what this engine models instead.

With all of them off the engine repeats the published assumptions (dense, AdapTiV and CMC then agree with fidelity
``parity`` cycle for cycle), so the effect of each can be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from focal_common.errors import ConfigError, near_matches

__all__ = ["ALL", "CORRECTIONS", "Correction", "parse_corrections"]


@dataclass(frozen=True, slots=True)
class Correction:
    """One switch.

    Attributes:
        name: Word that switches it.
        defects: Numbers in the list of defects of the published simulator (docs/parity.md).
        published: What is assumed when the switch is off.
        corrected: What is modelled when it is on.
    """

    name: str
    defects: tuple[str, ...]
    published: str
    corrected: str


CORRECTIONS: tuple[Correction, ...] = (
    Correction(
        "tile_lengths",
        ("D3", "D27"),
        "every tile and k-slice of a layer has the layer's average number of rows, rounded",
        "each tile and k-slice has the rows that the trace counted; a last tile may be short",
    ),
    Correction(
        "causal_tiles",
        ("D26",),
        "attention costs half of the full square",
        "each m-tile meets the keys up to its own end",
    ),
    Correction(
        "attention_scatter",
        ("D4",),
        "scores are scattered as if no key had been pruned and no key were masked",
        "scores are scattered for the keys that are there, fold by fold",
    ),
    Correction(
        "attention_traffic",
        ("D1",),
        "attention bytes as published: one head of 28, a token number that turns negative after pruning",
        "bytes of all heads, from the tiles that are timed",
    ),
    Correction(
        "stored_outputs",
        ("D22",),
        "outputs are written with the row count of the layer's input; similarity maps cost nothing in DRAM",
        "outputs are written with the count of the layer that reads them, only those that are concentrated "
        "are gathered, and maps of 2 bytes a row and slice are written and fetched",
    ),
    Correction(
        "special_functions",
        ("D21",),
        "softmax, normalisation, position embedding, activation and token sorting take no time",
        "they run on the special-function unit and the sorter beside the array; what does not hide counts",
    ),
    Correction(
        "codec_overlap",
        ("D9",),
        "the motion search of CMC is free, and the input of gate and up is searched twice",
        "the motion search runs beside the array, once an input; what does not hide counts",
    ),
    Correction(
        "adaptiv_attention",
        ("D10",),
        "AdapTiV pads heads of 128 to 256, meets un-merged keys, scores x V costs like Q x K^T, and GEMMs that "
        "share an input merge it again",
        "heads as they are, merged keys, scores x V timed by itself, each input merged once",
    ),
    Correction(
        "sec_only_unit",
        ("D7",),
        "Focus without similarity works on tiles of 512 rows and still has its scatter, gather and their power",
        "full tiles, no similarity hardware",
    ),
    Correction(
        "dense_buffers",
        ("D8",),
        "the dense array keeps four buffers that only concentration needs",
        "the dense array has input, weight and output buffers",
    ),
    Correction(
        "dram_stalls",
        ("D2",),
        "DRAM never stalls anything",
        "fetches and write-backs take the time of the DRAM system, double-buffered",
    ),
    Correction(
        "dram_energy",
        ("D2",),
        "99.98 pJ for every byte",
        "energy per command (activate, read, write) and background power of the DRAM system",
    ),
    Correction(
        "sram_energy",
        ("D5", "D6"),
        "buffers draw their power at full activity all the time",
        "energy per access and leakage",
    ),
    Correction(
        "core_energy",
        ("D23",),
        "every unit of the core draws its full power all the time",
        "each unit draws its power while it works, and leakage otherwise",
    ),
)
"""In the order in which the generated table applies them."""

ALL = frozenset(correction.name for correction in CORRECTIONS)


def parse_corrections(text: str) -> frozenset[str]:
    """Return the switches that a word list turns on.

    Args:
        text: ``all``, ``none``, names separated by commas, or ``all`` followed by names with a leading ``-``
            (a list that begins with one starts from ``all``).

    Raises:
        ConfigError: Nothing, or an unknown name; near matches are listed.
    """
    words = [part.strip() for part in text.split(",") if part.strip()]
    if not words:
        raise ConfigError("corrections is empty, expected all, none, or names separated by commas")
    # What is taken away is taken away from all.
    chosen: set[str] = set(ALL) if words[0].startswith("-") else set()
    for word in words:
        name = word.removeprefix("-")
        if name in ("all", "none"):
            chosen = set(ALL) if word == "all" else set()
        elif name not in ALL:
            raise ConfigError(f"corrections '{name}': {near_matches(name, [*ALL, 'all', 'none'])}")
        elif word.startswith("-"):
            chosen.discard(name)
        else:
            chosen.add(name)
    return frozenset(chosen)
