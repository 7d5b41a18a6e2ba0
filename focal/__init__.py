"""Focal in Python: compress a model, look at the trace, simulate it on accelerators.

    import focal

    model, processor = focal.load_model("shapes_video")
    with focal.compress(model, "focus") as run:
        model.generate(**processor("How many circles are there?", videos="clip.mp4"))
    trace = run.trace()
    trace.show()
    results = focal.simulate(trace, ["dense", "focus"])
    results.frame()

Importing this loads neither torch nor numba: each name below loads its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from focal_common import __version__

if TYPE_CHECKING:
    from focal.compression import Run, compress
    from focal.inputs import Sample, samples
    from focal.loading import Processor, load_model
    from focal.overlay import Overlay
    from focal.plugins import Support, accelerators, method, methods, models, supports
    from focal.recording import trace
    from focal.results import Explanation, Results
    from focal.simulation import Accelerator, Gemms, accelerator, gemms, simulate
    from focal.studies.arena.comparison import Comparison, compare_methods
    from focal.traces import Trace
    from focal_algorithm.methods.adaptiv import Adaptiv
    from focal_algorithm.methods.base import (
        AttentionOperands,
        CompressionMethod,
        DecodeNotes,
        GemmOutcome,
        HostNeeds,
        Resequenced,
        TokenStream,
    )
    from focal_algorithm.methods.cdpruner import CdPruner
    from focal_algorithm.methods.cmc import Cmc
    from focal_algorithm.methods.dart import Dart
    from focal_algorithm.methods.dense import Dense
    from focal_algorithm.methods.divprune import DivPrune
    from focal_algorithm.methods.dycoke import DyCoke
    from focal_algorithm.methods.evs import Evs
    from focal_algorithm.methods.fastv import FastV
    from focal_algorithm.methods.fastvid import FastVid
    from focal_algorithm.methods.focus import Focus
    from focal_algorithm.methods.focus_sec_only import FocusSecOnly
    from focal_algorithm.methods.framefusion import Framefusion
    from focal_algorithm.methods.holitom import HoliTom
    from focal_algorithm.methods.prumerge import PruMerge
    from focal_algorithm.methods.prumerge_plus import PruMergePlus
    from focal_algorithm.methods.pyramiddrop import PyramidDrop
    from focal_algorithm.methods.selector import TokenSelector
    from focal_algorithm.methods.sparsevlm import SparseVlm
    from focal_algorithm.methods.sparsezip import SparseZip
    from focal_algorithm.methods.visionzip import VisionZip
    from focal_algorithm.methods.zip_parts import ZipParts
    from focal_algorithm.models.weights import shipped_model
    from focal_common.errors import ConfigError, FocalError, RunError, TraceError, UnsupportedError

_HOMES = {
    "focal.studies.arena.comparison": ("Comparison", "compare_methods"),
    "focal.compression": ("Run", "compress"),
    "focal.inputs": ("Sample", "samples"),
    "focal.loading": ("Processor", "load_model"),
    "focal.overlay": ("Overlay",),
    "focal.plugins": ("Support", "accelerators", "method", "methods", "models", "supports"),
    "focal.results": ("Explanation", "Results"),
    "focal.simulation": ("Accelerator", "Gemms", "accelerator", "gemms", "simulate"),
    "focal.recording": ("trace",),
    "focal.traces": ("Trace",),
    "focal_algorithm.methods.base": (
        "AttentionOperands",
        "CompressionMethod",
        "DecodeNotes",
        "GemmOutcome",
        "HostNeeds",
        "Resequenced",
        "TokenStream",
    ),
    "focal_algorithm.methods.selector": ("TokenSelector",),
    "focal_algorithm.models.weights": ("shipped_model",),
    "focal_common.errors": ("ConfigError", "FocalError", "RunError", "TraceError", "UnsupportedError"),
}
"""Names by the module they live in. Method classes are not among them: their registry names them."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Accelerator",
    "Adaptiv",
    "AttentionOperands",
    "CdPruner",
    "Cmc",
    "Comparison",
    "CompressionMethod",
    "ConfigError",
    "Dart",
    "DecodeNotes",
    "Dense",
    "DivPrune",
    "DyCoke",
    "Evs",
    "Explanation",
    "FastV",
    "FastVid",
    "FocalError",
    "Focus",
    "FocusSecOnly",
    "Framefusion",
    "GemmOutcome",
    "Gemms",
    "HoliTom",
    "HostNeeds",
    "Overlay",
    "Processor",
    "PruMerge",
    "PruMergePlus",
    "PyramidDrop",
    "Resequenced",
    "Results",
    "Run",
    "RunError",
    "Sample",
    "SparseVlm",
    "SparseZip",
    "Support",
    "TokenSelector",
    "TokenStream",
    "Trace",
    "TraceError",
    "UnsupportedError",
    "VisionZip",
    "ZipParts",
    "__version__",
    "accelerator",
    "accelerators",
    "compare_methods",
    "compress",
    "gemms",
    "load_model",
    "method",
    "methods",
    "models",
    "samples",
    "shipped_model",
    "simulate",
    "supports",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name.startswith("_"):
        raise AttributeError(f"module 'focal' has no attribute '{name}'")
    else:
        value = _method_class(name)
    globals()[name] = value
    return value


def _method_class(name: str) -> Any:
    """Return a compression method by the name of its class, those of installed plug-ins included."""
    from focal_algorithm.methods import METHODS
    from focal_common.errors import near_matches

    classes = {METHODS.target(one).rpartition(":")[2]: one for one in METHODS}
    if name not in classes:
        raise AttributeError(f"module 'focal' has no attribute '{name}'; {near_matches(name, __dir__())}")
    return METHODS.load(classes[name])


def __dir__() -> list[str]:
    return sorted(__all__)
