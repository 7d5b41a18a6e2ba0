"""Is a field that changes nothing refused, on the command line and in a study, instead of a flat axis?"""

from __future__ import annotations

from pathlib import Path

import pytest

from focal.commands.main import main as focal
from focal_common.errors import ConfigError
from focal_simulator.results.runner import FIDELITIES, Settings, run_all
from simulator_support import PUBLISHED_ROOT, small_workload

STUDY = """\
name: flat
kind: grid
fidelity: {fidelity}
workloads: [llava_vid/mvbench]
axes:
  - {{field: {field}, values: [{values}]}}
objectives:
  - {{metric: seconds}}
"""


@pytest.mark.parametrize(
    ("fidelity", "field", "values"),
    [("cycle", "dram_bandwidth", "1e9, 2e9"), ("parity", "leakage_fraction", "0.1, 0.2")],
)
def test_an_axis_without_effect_is_refused(
    fidelity: str, field: str, values: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "flat.yaml"
    study.write_text(STUDY.format(fidelity=fidelity, field=field, values=values), encoding="utf-8")
    words = ["sweep", str(study), "--trace", str(PUBLISHED_ROOT), "--output", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as end:
        focal(words)
    assert end.value.code == 2
    assert f"{field}: has no effect in fidelity {fidelity}" in " ".join(capsys.readouterr().err.split())


def test_the_command_line_refuses_it_too_and_a_correction_gives_it_back() -> None:
    with pytest.raises(ConfigError, match="hardware field dram_energy: has no effect"):
        run_all(Settings(accelerators=("dense",), overrides=("dram_energy=50",)), [small_workload()])
    level = FIDELITIES.load("cycle")(Settings(corrections="all,-dram_energy"))
    level.check_fields(["dram_energy"], "--set")
