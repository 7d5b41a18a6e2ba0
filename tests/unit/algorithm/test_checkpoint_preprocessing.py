"""Is a checkpoint refused when its pixels are scaled otherwise than ours?"""

import json
from pathlib import Path

import pytest

from focal_algorithm.checkpoints.loading import load_model
from focal_common.errors import ConfigError, UnsupportedError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    load("llava_onevision").model.save_pretrained(folder)
    return folder


def load(name: str):  # noqa: ANN201
    return load_model(
        name, size="tiny", seed=0, dtype="fp32", attention="sdpa", device="cpu", is_offline=True
    )


def test_a_checkpoint_with_other_pixel_scaling_is_refused(checkpoint: Path) -> None:
    settings = checkpoint / "preprocessor_config.json"
    settings.write_text(json.dumps({"image_mean": [0.48, 0.45, 0.4], "image_std": [0.5, 0.5, 0.5]}))
    with pytest.raises(
        UnsupportedError, match=r"image_mean is \[0\.48, 0\.45, 0\.4\]; expected \[0\.5, 0\.5, 0\.5\]"
    ):
        load(str(checkpoint))
    settings.write_text("{")
    with pytest.raises(ConfigError, match=r"preprocessor_config\.json: not JSON as expected"):
        load(str(checkpoint))


def test_the_usual_scaling_and_no_file_at_all_load(checkpoint: Path) -> None:
    settings = checkpoint / "preprocessor_config.json"
    settings.write_text(json.dumps({"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}))
    assert load(str(checkpoint)).checkpoint == checkpoint.name
    settings.unlink()
    assert load(str(checkpoint)).checkpoint == checkpoint.name
