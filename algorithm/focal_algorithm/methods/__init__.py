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
        "cmc": "focal_algorithm.methods.cmc:Cmc",
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
        "sparsevlm": "focal_algorithm.methods.sparsevlm:SparseVlm",
        "sparsezip": "focal_algorithm.methods.sparsezip:SparseZip",
        "visionzip": "focal_algorithm.methods.visionzip:VisionZip",
        "zip_parts": "focal_algorithm.methods.zip_parts:ZipParts",
    },
    group="focal.methods",
)
"""One line per method; other distributions add theirs under the entry-point group ``focal.methods``."""
