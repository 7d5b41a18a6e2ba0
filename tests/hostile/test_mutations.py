"""No file makes Focal show a traceback, hang, take a gigabyte, or give a number that the whole file would not give.

The default run takes 2,040 cases of a seed that changes every day and is printed; more, or another seed:
``python tests/run_hostile.py --cases 20000 --seed N --keep``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from bench import make
from harness import asked, replayed, run_all
from kinds import KINDS

CASES = int(os.environ.get("FOCAL_HOSTILE_CASES", "2040"))
SEED = int(os.environ.get("FOCAL_HOSTILE_SEED", str(int(time.time()) // 86_400)))
KEPT = sorted((Path(__file__).parent / "kept").glob("*.json"))


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("bench"))


def test_mutated_files_of_every_kind(bench: Path, tmp_path: Path) -> None:
    failed: list[dict[str, Any]] = []
    totals = run_all(CASES, SEED, bench, tmp_path, failed.append)
    print(f"seed {SEED}: {sum(totals.values())} cases, exit codes {totals}")
    shown = "\n".join(
        f"{one['kind']} {one['seed']}: {one['how']}: {one['faults'][0][-500:]}" for one in failed[:5]
    )
    assert not failed, f"seed {SEED}: {len(failed)} of {CASES} cases failed:\n{shown}"
    assert totals.get("0", 0) > CASES // 20, "hardly a case was taken: the harness asks for nothing"
    assert totals.get("2", 0) > CASES // 4, "hardly a case was refused: the harness changes nothing"


@pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)
def test_cases_that_failed_once(kept: Path, bench: Path, tmp_path: Path) -> None:
    assert replayed(kept, bench, tmp_path / "case").faults == []


def test_the_harness_sees_what_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults put in by hand: each is seen."""
    import harness

    def broken() -> None:
        raise KeyError("x")

    assert "KeyError" in asked(broken).faults[0]
    assert "not finite" in asked(lambda: float("nan")).faults[0]
    assert "exit code 7" in asked(lambda: exec("raise SystemExit(7)")).faults[0]
    with monkeypatch.context() as hurried:
        hurried.setattr(harness, "HANG_S", 0.2)
        assert "hang" in asked(lambda: time.sleep(5)).faults[0]
    monkeypatch.setattr(harness, "MOST_MIB", 50)
    assert "MiB" in asked(lambda: len(bytes(200 << 20).replace(b"\0", b"\1"))).faults[0]


def test_a_changed_number_is_seen(bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the checksum taken out by hand, a changed score is an answer that the whole file would not give."""
    import harness

    from focal_algorithm.evaluation.lmms import run_files

    kind = KINDS["runs of an evaluation"]
    monkeypatch.setattr(
        run_files, "unsealed", lambda row, *_, **__: {k: v for k, v in row.items() if k != "content_sha256"}
    )

    def other_score(place: Path, rng: Any, kept: Any) -> list[str]:
        place.write_text(place.read_text().replace('"score": 1.0', '"score": 0.5'))
        return ["score"]

    monkeypatch.setitem(
        harness.KINDS, "runs of an evaluation", type(kind)(**{**vars(kind), "change": other_score})
    )
    outcome, _, _ = harness.run_case("runs of an evaluation", 1, bench, tmp_path / "case")
    assert "silently different" in outcome.faults[0]
