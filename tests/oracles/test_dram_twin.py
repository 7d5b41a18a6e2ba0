"""Is the compiled memory model, which skips idle cycles, equal to a slow one that visits every cycle?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dram_twin import twin_replay
from focal_simulator.dram import load_dram_spec, replay

NAMES = {1: "ACT", 2: "PRE", 3: "RD", 4: "WR", 5: "REF"}
SHORT_REFRESH = ["device.timing.refresh_interval_cycles=700"]
SMALL_QUEUES = ["controller.bank_queue_depth=2", "controller.transaction_queue_depth=4"]

request_lists = st.lists(
    st.tuples(
        st.integers(0, 3),  # row
        st.integers(0, 63),  # bank, group, rank bits and one column bit
        st.booleans(),
        st.sampled_from([0, 0, 0, 1, 7, 60, 900]),  # gap before the request
    ),
    min_size=1,
    max_size=120,
)


@pytest.mark.parametrize("overrides", [[], SHORT_REFRESH, SMALL_QUEUES, [*SHORT_REFRESH, *SMALL_QUEUES]])
@pytest.mark.parametrize("name", ["ddr4_1ch_bglow", "lpddr4_1ch_shipped", "lpddr3_1ch_shipped"])
@settings(max_examples=12, deadline=None, derandomize=True)
@given(drawn=request_lists)
def test_every_request_and_command_falls_on_the_same_cycle(
    name: str, overrides: list[str], drawn: list[tuple[int, int, bool, int]]
) -> None:
    spec = load_dram_spec(name, overrides)
    row_shift = (spec.capacity_bytes // spec.device.organisation.rows).bit_length() - 1
    column_bytes = (
        spec.device.organisation.columns // spec.device.organisation.burst_length * spec.request_bytes
    )
    requests, now = [], 0
    for row, place, is_write, gap in drawn:
        now += gap
        low = (place & 1) * 64 + (place >> 1) * (64 * 2 if "bglow" in name else column_bytes)
        requests.append(((row << row_shift) + low, is_write, now))
    accept, done, commands = twin_replay(spec, requests, is_artifact=False)
    ours = replay(
        spec, *([request[part] for request in requests] for part in range(3)), num_logged_commands=1024
    )
    assert ours.accept_cycles.tolist() == accept
    assert ours.done_cycles.tolist() == done
    log = [(int(line["cycle"]), NAMES[int(line["kind"])]) for line in ours.commands]
    assert log == [(cycle, command) for cycle, command, _ in commands]
