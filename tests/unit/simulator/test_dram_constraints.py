"""Is each timing rule kept to the cycle: refused one cycle early, granted on time?"""

from __future__ import annotations

import pytest

from dram_traffic import QUIET, cycles_of, ddr4, run
from focal_simulator.dram import DramSpec, load_dram_spec

HERE = {"row": 1}
GROUP = {"row": 1, "bankgroup": 1}
RANK = {"row": 1, "rank": 1}
START = 1000  # rows are open and every earlier rule has lapsed

# DDR4-2133: CL 16, CWL 11, burst 4, tCCD_L/S 6/4, tWTR_L/S 8/3, rank switch 1
COLUMN_RULES = [
    ("read", HERE, "read", HERE, 6),
    ("read", HERE, "read", GROUP, 4),
    ("read", HERE, "read", RANK, 4 + 1),
    ("read", HERE, "write", HERE, 16 + 4 - 11 + 1),
    ("read", HERE, "write", GROUP, 16 + 4 - 11 + 1),
    ("read", HERE, "write", RANK, 16 + 4 - 11 + 1),
    ("write", HERE, "read", HERE, 11 + 4 + 8),
    ("write", HERE, "read", GROUP, 11 + 4 + 3),
    ("write", HERE, "read", RANK, 11 + 4 + 1 - 16),
    ("write", HERE, "write", HERE, 6),
    ("write", HERE, "write", GROUP, 4),
    ("write", HERE, "write", RANK, 4),
]


def column_gap(spec: DramSpec, first: tuple[str, dict], second: tuple[str, dict], wait: int) -> int:
    warm = [("read", 0, HERE), ("read", 100, GROUP), ("read", 200, RANK)]
    column = {"column": 9}
    pair = [(first[0], START, first[1]), (second[0], START + wait, second[1] | column)]
    last = [("read", START + 500, RANK)]  # a write is posted: without more to do the run would end before it
    result = run(spec, warm + pair + last)
    cycles = sorted(cycles_of(result, "read", START) + cycles_of(result, "write", START))
    assert len(cycles) == 3
    return cycles[1] - cycles[0]


@pytest.mark.parametrize(("first", "there", "second", "place", "rule"), COLUMN_RULES)
def test_a_column_command_is_refused_one_cycle_before_its_rule_and_granted_on_it(
    first: str, there: dict[str, int], second: str, place: dict[str, int], rule: int
) -> None:
    spec = ddr4(*QUIET)
    for wait in (max(1, rule - 1), max(1, rule), rule + 3):
        assert column_gap(spec, (first, there), (second, place), wait) == max(rule, wait)


@pytest.mark.parametrize(
    ("second", "rule"),
    [({"row": 1, "bank": 1}, 7), ({"row": 1, "bankgroup": 1}, 6), ({"row": 1, "rank": 1}, 1)],
)
def test_activates_of_two_banks_keep_their_distance(second: dict[str, int], rule: int) -> None:
    for wait in (max(1, rule - 1), rule, rule + 1):
        result = run(ddr4(*QUIET), [("read", START, HERE), ("read", START + wait, second)])
        first, then = cycles_of(result, "activate")
        assert then - first == max(rule, wait)


@pytest.mark.parametrize("wait", [1, 99, 100, 101])
def test_a_fifth_activate_waits_for_the_window_of_four(wait: int) -> None:
    spec = ddr4(*QUIET, "device.timing.four_activate_window_cycles=100")
    banks = [{"row": 1, "bank": bank, "bankgroup": group} for bank in range(2) for group in range(2)]
    fifth = ("read", START + wait, {"row": 1, "bank": 2})
    cycles = cycles_of(run(spec, [("read", START, bank) for bank in banks] + [fifth]), "activate")
    assert len(cycles) == 5
    assert cycles[3] - cycles[0] < 40
    assert cycles[4] - cycles[0] == max(100, wait)


@pytest.mark.parametrize("wait", [35, 36, 37])
def test_a_row_stays_open_for_its_minimum_time_and_reopens_after_the_precharge(wait: int) -> None:
    result = run(ddr4(*QUIET), [("read", START, {"row": 1}), ("read", START + wait, {"row": 2})])
    first, second = cycles_of(result, "activate")
    (precharge,) = cycles_of(result, "precharge")
    assert precharge - first == max(36, wait)
    assert second - precharge == 16
    assert cycles_of(result, "read")[0] - first == 16


@pytest.mark.parametrize(("operation", "rule"), [("read", 8), ("write", 11 + 4 + 16)])
def test_a_precharge_waits_for_the_last_column_command(operation: str, rule: int) -> None:
    for wait in (rule - 1, rule, rule + 1):
        requests = [("read", 0, {"row": 1}), (operation, START, {"row": 1, "column": 3})]
        result = run(ddr4(*QUIET), [*requests, ("read", START + wait, {"row": 2})])
        (precharge,) = cycles_of(result, "precharge")
        assert precharge - cycles_of(result, operation)[-1 if operation == "write" else 1] == max(rule, wait)


def test_precharges_of_lpddr4_keep_their_distance_and_those_of_ddr4_need_not() -> None:
    for name, rule in (("lpddr4_1ch_shipped", 2), ("ddr4_1ch_shipped", 1)):
        spec = load_dram_spec(name, QUIET)
        opened = [("read", 0, {"row": 1, "bank": bank}) for bank in range(2)]
        closed = [("read", START, {"row": 2, "bank": bank}) for bank in range(2)]
        first, second = cycles_of(run(spec, opened + closed), "precharge")
        assert second - first == rule


@pytest.mark.parametrize("wait", [100, 276, 277, 278, 279])
def test_a_refreshed_rank_can_be_activated_after_the_refresh_time(wait: int) -> None:
    spec = ddr4("ranks=1")
    result = run(spec, [("read", 8328 + wait - 2, {"row": 1})])
    refresh, activate = cycles_of(result, "refresh")[0], cycles_of(result, "activate")[0]
    assert refresh == 8328
    assert activate - refresh == max(278, wait)


def test_refresh_closes_an_open_row_first() -> None:
    result = run(ddr4("ranks=1"), [("read", 8000, {"row": 1}), ("read", 9000, {"row": 1})])
    assert cycles_of(result, "precharge") == [8328]
    assert cycles_of(result, "refresh") == [8328 + 16]
