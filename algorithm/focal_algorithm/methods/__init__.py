"""Compression methods by name. Listing names imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from focal_common.registry import Registry

if TYPE_CHECKING:
    from focal_algorithm.methods.base import CompressionMethod

__all__ = ["METHODS"]

METHODS: Registry[type[CompressionMethod]] = Registry(
    "method",
    {
        "adaptiv": "focal_algorithm.methods.adaptiv:Adaptiv",
        "cdpruner": "focal_algorithm.methods.cdpruner:CdPruner",
        "cmc": "focal_algorithm.methods.cmc:Cmc",
        "dart": "focal_algorithm.methods.dart:Dart",
        "dense": "focal_algorithm.methods.dense:Dense",
        "divprune": "focal_algorithm.methods.divprune:DivPrune",
        "dycoke": "focal_algorithm.methods.dycoke:DyCoke",
        "evs": "focal_algorithm.methods.evs:Evs",
        "fastv": "focal_algorithm.methods.fastv:FastV",
        "fastvid": "focal_algorithm.methods.fastvid:FastVid",
        "focus": "focal_algorithm.methods.focus:Focus",
        "focus_sec_only": "focal_algorithm.methods.focus_sec_only:FocusSecOnly",
        "framefusion": "focal_algorithm.methods.framefusion:Framefusion",
        "holitom": "focal_algorithm.methods.holitom:HoliTom",
        "prumerge": "focal_algorithm.methods.prumerge:PruMerge",
        "prumerge_plus": "focal_algorithm.methods.prumerge_plus:PruMergePlus",
        "pyramiddrop": "focal_algorithm.methods.pyramiddrop:PyramidDrop",
        "sparsevlm": "focal_algorithm.methods.sparsevlm:SparseVlm",
        "sparsezip": "focal_algorithm.methods.sparsezip:SparseZip",
        "visionzip": "focal_algorithm.methods.visionzip:VisionZip",
        "zip_parts": "focal_algorithm.methods.zip_parts:ZipParts",
    },
    group="focal.methods",
)
"""One line per method; other distributions add theirs under the entry-point group ``focal.methods``."""
