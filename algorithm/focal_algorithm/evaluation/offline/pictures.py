"""What the vision tower made of each picture, kept for all methods and all questions about it."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from transformers.modeling_outputs import BaseModelOutputWithPooling

from focal_algorithm.checkpoints.loading import LoadedModel
from focal_algorithm.hooks import Session
from focal_algorithm.hooks.placement import input_device
from focal_algorithm.models.base import VisualPart
from focal_algorithm.prompts.media import MediaSample
from focal_algorithm.tracing.prompting import visual_part
from focal_common.errors import UnsupportedError

_MOST_PICTURES = 1024
"""Bounds memory: about 1.5 MB for a clip of the offline video model, 0.2 MB for an image."""


@dataclass
class EncodedPicture:
    """One picture.

    Attributes:
        visual: Placeholders of the prompt; inputs without pixels.
        outputs: What the decoder is given, by modality, as `generate` hands it on.
        tower: By `TowerWatch.asked`, what token selection needs of the tower.
    """

    visual: VisualPart
    outputs: dict[str, Any]
    tower: dict[Hashable, Any]


class PictureCache:
    """Encoded pictures of one model.

    Args:
        loaded: The model.

    Raises:
        UnsupportedError: The model cannot take pictures that were encoded before.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        if "mm_encoder_outputs" not in inspect.signature(loaded.model.forward).parameters:
            raise UnsupportedError(
                f"{loaded.adapter.family}: its forward takes no encoded pictures; use 'focal eval' instead"
            )
        self._loaded = loaded
        self._pictures: OrderedDict[str, EncodedPicture] = OrderedDict()

    def encoded(self, sample: MediaSample, session: Session) -> EncodedPicture:
        """Return a picture, with what the session's method needs of the tower laid before it.

        Args:
            sample: One image or video.
            session: The method, attached.
        """
        found = self._pictures.get(sample.sample_id)
        if found is None or (session.tower is not None and session.tower.asked not in found.tower):
            found = self._encode(sample, session, found)
        elif session.tower is not None:
            session.tower.restore(found.tower[session.tower.asked])
        self._pictures.move_to_end(sample.sample_id)
        return found

    def _encode(self, sample: MediaSample, session: Session, before: EncodedPicture | None) -> EncodedPicture:
        visual = visual_part(self._loaded, sample)
        if session.tower is not None:
            session.tower.forget()
        outputs = self._outputs(visual)
        kept = {name: value for name, value in visual.inputs.items() if not name.startswith("pixel")}
        found = before or EncodedPicture(VisualPart(visual.pieces, kept), outputs, {})
        if session.tower is not None:
            found.tower[session.tower.asked] = session.tower.seen()
        self._pictures[sample.sample_id] = found
        while len(self._pictures) > _MOST_PICTURES:
            self._pictures.popitem(last=False)
        return found

    def _outputs(self, visual: VisualPart) -> dict[str, Any]:
        model = self._loaded.model
        modality = "video" if "pixel_values_videos" in visual.inputs else "image"
        encode = getattr(model.base_model, f"get_{modality}_features")
        known = inspect.signature(encode).parameters
        device = input_device(model)
        inputs = {name: value.to(device) for name, value in visual.inputs.items() if name in known}
        made = encode(**inputs, return_dict=True)
        return {modality: BaseModelOutputWithPooling(pooler_output=made.pooler_output)}
