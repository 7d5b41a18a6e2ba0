"""Do the packaged shapes hold as many parameters as the models were published with?"""

from __future__ import annotations

import pytest

from focal_simulator.whole_model import operators
from focal_simulator.whole_model.presets import shape_preset
from shape_support import work_by_phase

PARAMETERS = {
    # In 1e9, as the model pages on the Hugging Face Hub state it from the safetensors files.
    "internvl3_8b": 7.94,
    "llava_1_5_7b": 7.06,
    "llava_1_6_7b": 7.06,
    "llava_onevision_7b": 8.03,
    "llava_video_7b": 8.03,
    "minicpm_v_2_6": 8.10,
    "qwen2_5_vl_7b": 8.29,
    "smolvlm2_2_2b": 2.25,
}


@pytest.mark.parametrize(("name", "billions"), PARAMETERS.items())
def test_parameters_read_equal_the_size_of_the_model(name: str, billions: float) -> None:
    shape = shape_preset(name)
    read = sum(one.weight_elements for one in operators(shape))
    # One embedding row per token is looked up, not the table.
    table = 0 if shape.is_lm_head_tied else shape.vocabulary_size * shape.decoder.hidden_elements
    assert (read + table) / 1e9 == pytest.approx(billions, rel=0.005)


def test_the_tower_of_the_published_video_workload_is_no_small_change() -> None:
    # SigLIP over 64 frames of 729 patches: about as much work as Focus leaves in the decoder.
    vision = work_by_phase(operators(shape_preset("llava_video_7b")))[0]
    by_hand = (
        64 * 729 * (26 * (4 * 1152**2 + 2 * 1152 * 4304) + 3 * 14 * 14 * 1152) + 26 * 64 * 2 * 729**2 * 1152
    )
    assert vision.flops == 2 * by_hand
