"""Does the accelerator template of the documentation run as printed?"""

import re
from pathlib import Path

import pytest

from focal_simulator.accelerators import ACCELERATORS
from focal_simulator.results.runner import Settings, run_all
from simulator_support import small_workload

GUIDE = Path(__file__).parents[3] / "docs" / "adding_an_accelerator.md"


@pytest.mark.parametrize("fidelity", ["parity", "cycle"])
def test_the_template_of_the_guide_runs_and_is_no_slower_than_dense(
    fidelity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    code = found.group(1)
    assert len(code.splitlines()) <= 70
    (tmp_path / "token_skipper.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ACCELERATORS._table, "token_skipper", "token_skipper:TokenSkipper")
    outcome = run_all(
        Settings(accelerators=("dense", "token_skipper"), fidelity=fidelity), [small_workload(tokens=2048)]
    )
    dense, skipper = (run.result for run in outcome.runs)
    assert skipper.total_cycles < dense.total_cycles
    assert skipper.macs < skipper.dense_macs == dense.dense_macs
    assert skipper.dram_bytes < dense.dram_bytes


@pytest.mark.parametrize("fidelity", ["parity", "cycle"])
def test_without_dropped_tokens_the_template_is_the_dense_array(
    fidelity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "token_skipper.py").write_text(found.group(1), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ACCELERATORS._table, "token_skipper", "token_skipper:TokenSkipper")
    from dataclasses import replace

    from focal_traces.synthetic.schedule import Schedule

    whole = replace(small_workload(tokens=2048), counts=None).with_schedule_counts(Schedule())
    settings = Settings(accelerators=("dense", "token_skipper"), fidelity=fidelity)
    outcome = run_all(settings, [whole])
    dense, skipper = (run.result for run in outcome.runs)
    assert skipper.total_cycles == dense.total_cycles
    assert skipper.moved_bytes == dense.moved_bytes
    assert skipper.activation_bytes == dense.activation_bytes
