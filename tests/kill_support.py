"""Processes that die at the n-th change they make to the file system, as kill -9 would have it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

_CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
KILLED = 137


def killed_at_every_change(work: Callable[[], object], prepare: Callable[[], object]) -> Iterator[int]:
    """Yield after each child process that was killed at its first, second, third ... change, until one is done.

    Args:
        work: What a child does.
        prepare: Called in this process before each child is started.
    """
    number = 1
    while True:
        prepare()
        child = os.fork()
        if not child:
            code = 1
            try:
                sys.addaudithook(_killer(number))
                work()
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, KILLED), f"the work failed at change {number}"
        if not code:
            return
        yield number
        number += 1


def _killer(number: int) -> Callable[[str, tuple[object, ...]], None]:
    left = [number]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        is_write = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        if event in _CHANGES or is_write:
            left[0] -= 1
            if not left[0]:
                os._exit(KILLED)

    return hook
