"""Places in the state vector of the pipeline kernel: when each resource is next free, or last did something.

One int64 array instead of a structure, so that two states can be compared and shifted as a whole: if one is
another plus a constant, the future repeats the past.
"""

from __future__ import annotations

CURSOR = 0  # end of the last stream: every cycle before it has its cause
LOADED = 1  # end of the last weight load
STREAM_START = 2
DONE = 3  # last output of the last fold
SCATTERED = 4  # end of the last scatter, and of the one before
SCATTERED_BEFORE = 5
STEP_END = 6  # end of the last stream of the last step
READY = 7  # data of the next step are fetched
DRAM = 8  # the channel is free
GATHERED = 9  # end of the last gather, and of the one before
GATHERED_BEFORE = 10
WRITTEN = 11  # end of the last write served, and of the one before
WRITTEN_BEFORE = 12
FIRST_DUE = 13  # earliest start of the writes that wait; at most two do
SECOND_DUE = 14
TIMES = 15
FIRST_CYCLES = 15  # from here on lengths and numbers, not times
SECOND_CYCLES = 16
WRITES_WAITING = 17
STATES = 18
