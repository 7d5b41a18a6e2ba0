"""Is a CACTI binary asked rightly, read rightly, remembered, and its failure told in one sentence?"""

import stat
from pathlib import Path

import pytest

from focal_common.errors import ConfigError, RunError
from focal_simulator.costs.sram import SramTable
from focal_simulator.costs.sram_cacti import CactiBinary, configuration_text
from focal_simulator.costs.sram_data import embedded_points

REPORT = """
    Access time (ns): 0.550846
    Cycle time (ns):  0.751073
    Total dynamic read energy per access (nJ): 0.043363
    Total dynamic write energy per access (nJ): 0.078971
    Total leakage power of a bank (mW): 61.0314
    Total gate leakage power of a bank (mW): 2.26235
    Cache height x width (mm): 0.491196 x 0.350717
"""


def binary(folder: Path, body: str) -> CactiBinary:
    path = folder / "cacti"
    path.write_text(f'#!/bin/sh\necho called >> "{folder}/calls"\ncp "$2" "{folder}/seen.cfg"\n{body}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return CactiBinary(path, folder / "answers")


def test_figures_are_read_from_the_report_and_remembered(tmp_path: Path) -> None:
    cacti = binary(tmp_path, f"cat <<'END'\n{REPORT}\nEND")
    table = SramTable(embedded_points(), cacti=cacti)
    macro = table.macro(100000, 64)
    assert macro.source == "cacti"
    assert macro.area_mm2 == 0.491196 * 0.350717
    assert macro.read_pj_per_byte == pytest.approx(43.363 / 64, rel=1e-12)
    assert (macro.leakage_mw, macro.gate_leakage_mw) == (61.0314, 2.26235)
    assert table.macro(100000, 64) == macro
    assert (tmp_path / "calls").read_text() == "called\n"
    assert (tmp_path / "seen.cfg").read_text() == configuration_text(100000, 64, 0, 0.028)


def test_a_stored_macro_needs_no_run(tmp_path: Path) -> None:
    table = SramTable(embedded_points(), cacti=binary(tmp_path, "exit 9"))
    assert table.macro(131072, 64).source == "exact"
    assert not (tmp_path / "calls").exists()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo broken table >&2; exit 3", r"ended with code 3 \(broken table\)"),
        ("echo Access time: soon", r"the report has no line for access_ns"),
    ],
)
def test_a_failing_binary_is_one_sentence_and_leaves_no_answer(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        binary(tmp_path, body).figures(100000, 64, 0, 0.028)
    assert not (tmp_path / "answers").exists()


def test_a_wrong_setting_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOCAL_CACTI", raising=False)
    assert CactiBinary.from_environment() is None
    monkeypatch.setenv("FOCAL_CACTI", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="expected an executable CACTI 7 binary"):
        CactiBinary.from_environment()
