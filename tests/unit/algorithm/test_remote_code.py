"""Does a checkpoint's own code run only with leave, and does it then give what the stand-in gives?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import attach_support as support
from focal.commands.running import run_command
from focal.commands.trace import app
from focal.testing import prompts as families
from focal_algorithm.checkpoints.loading import load_model
from focal_algorithm.hooks import attach
from focal_algorithm.methods.focus import Focus
from focal_common.errors import UnsupportedError

CODE = """
from pathlib import Path
from transformers import Qwen2Config
from focal_algorithm.models.architectures.minicpm_v import StandInMiniCpmV

Path(__file__).with_name("ran").touch()

class MiniCPMVConfig(Qwen2Config):
    model_type = "minicpmv"

class MiniCPMV(StandInMiniCpmV):
    config_class = MiniCPMVConfig
"""


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint as the published one is laid out: weights, auto_map, and a module beside them."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "minicpm-tiny"
    families.tiny("minicpm_v").model.core.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {
        "AutoConfig": "modeling_minicpmv.MiniCPMVConfig",
        "AutoModel": "modeling_minicpmv.MiniCPMV",
    }
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "modeling_minicpmv.py").write_text(CODE)
    return folder


def load(name: str, **options: Any) -> Any:
    return load_model(
        name, size="tiny", seed=7, dtype="fp32", attention="sdpa", device="cpu", is_offline=True, **options
    )


def ran(folder: Path) -> bool:
    return any(folder.rglob("ran"))


def test_code_of_a_checkpoint_is_not_run_without_leave(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="read that code, then allow it with trust_remote_code"):
        load(str(checkpoint))
    assert not ran(tmp_path)


def test_leave_does_not_reach_families_that_need_no_code(tmp_path: Path) -> None:
    folder = tmp_path / "llava"
    families.tiny("llava").model.save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "evil.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    assert load(str(folder), trust_remote_code=True).adapter.family == "llava"
    assert not ran(tmp_path)


def test_with_leave_the_checkpoint_gives_the_logits_of_the_stand_in(checkpoint: Path) -> None:
    source, loaded = families.tiny("minicpm_v"), load(str(checkpoint), trust_remote_code=True)
    assert type(loaded.model.core).__module__.startswith("transformers_modules")
    prompt = families.prompt(source, "video")
    method = Focus(**support.PRUNING)
    expected, output = families.record(source, method, prompt.inputs)
    found, again = families.record(loaded, method, prompt.inputs)
    assert torch.equal(output.logits, again.logits)
    assert expected[0].masks == found[0].masks
    with attach(loaded.model, loaded.adapter, method):
        assert (
            families.generate(loaded, prompt.inputs).sequences.shape[1] == prompt.layout.sequence_tokens + 3
        )


def test_the_command_line_passes_leave_on(checkpoint: Path, tmp_path: Path) -> None:
    words = ["--model", str(checkpoint), "--samples", "1", "--frames", "2", "--output", str(tmp_path / "out")]
    assert run_command(app, words) == 2
    assert run_command(app, [*words, "--trust-remote-code"]) == 0
    assert [name for name in sys.modules if name.startswith("transformers_modules")]
