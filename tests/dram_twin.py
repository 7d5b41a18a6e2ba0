"""A slow memory controller in plain Python, one clock per step, for comparison with the compiled one.

Written from the rules, with other data structures: timing is looked up in the history of issued commands, and
every cycle is visited.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from focal_simulator.dram.layout import build_parameters
from focal_simulator.hardware.memory import DramSpec

NEVER = -(10**9)


@dataclass
class Entry:
    address: int
    bank: tuple[int, int, int]  # rank, group, bank
    row: int
    column: int
    is_write: bool
    requests: list[int] = field(default_factory=list)


class TwinChannel:
    """One channel; ``command`` names are those of the data sheets: ACT, PRE, RD, WR, REF."""

    def __init__(self, spec: DramSpec, is_artifact: bool) -> None:
        self.spec, self.is_artifact = spec, is_artifact
        self.p: Any = build_parameters(spec, 1, is_artifact, 1, 0)[0]
        organisation = spec.device.organisation
        self.banks = [
            (rank, group, bank)
            for rank in range(spec.ranks)
            for group in range(organisation.bank_groups)
            for bank in range(organisation.banks_per_group)
        ]
        self.last: dict[tuple[str, tuple[int, ...]], int] = {}  # (command, place) -> last cycle
        self.activates: dict[int, list[int]] = {rank: [] for rank in range(spec.ranks)}
        self.row: dict[tuple[int, int, int], int | None] = dict.fromkeys(self.banks)
        self.served = Counter[tuple[int, int, int]]()
        self.queues: dict[tuple[int, int, int], list[Entry]] = {bank: [] for bank in self.banks}
        self.reads: list[Entry] = []
        self.writes: list[Entry] = []
        self.pending: dict[tuple[bool, int], Entry] = {}
        self.due: list[int] = []
        self.turn, self.pointer, self.drain = 0, 0, 0
        self.done: dict[int, int] = {}
        self.commands: list[tuple[int, str, tuple[int, int, int]]] = []

    def _ago(self, now: int, command: str, place: tuple[int, ...]) -> int:
        return now - self.last.get((command, place), NEVER)

    def is_legal(self, command: str, bank: tuple[int, int, int], now: int) -> bool:
        """Whether every delay since every earlier command has passed."""
        p, (rank, group, _) = self.p, bank
        ago = lambda name, place: self._ago(now, name, place)  # noqa: E731
        if command == "ACT":
            window = self.activates[rank][-4:]
            return (
                ago("ACT", bank) >= p["activate_same_bank"]
                and ago("ACT", (rank, group)) >= p["activate_same_group"]
                and ago("ACT", (rank,)) >= p["activate_other_group"]
                and ago("PRE", bank) >= p["precharge_activate"]
                and ago("REF", (rank,)) >= p["refresh_busy"]
                and (len(window) < 4 or now - window[0] >= p["activate_window"])
            )
        if command == "PRE":
            return (
                ago("ACT", bank) >= p["activate_precharge"]
                and ago("RD", bank) >= p["read_precharge"]
                and ago("WR", bank) >= p["write_precharge"]
                and ago("PRE", (rank,)) >= p["precharge_precharge"]
            )
        if command == "REF":
            closed = all(
                self._ago(now, "PRE", b) >= p["precharge_activate"] for b in self.banks if b[0] == rank
            )
            return closed and ago("REF", (rank,)) >= p["refresh_busy"]
        if ago("ACT", bank) < p["activate_column"]:
            return False
        other_ranks = [r for r in range(self.spec.ranks) if r != rank]
        places = [
            ((rank, group), "same_group"),
            ((rank,), "other_group"),
            *(((r,), "other_rank") for r in other_ranks),
        ]
        for place, level in places:
            for earlier, name in (("RD", "read"), ("WR", "write")):
                later = "read" if command == "RD" else "write"
                rule = "read_write" if (name, later) == ("read", "write") else f"{name}_{later}_{level}"
                if ago(earlier, place) < p[rule]:
                    return False
        return True

    def issue(self, command: str, bank: tuple[int, int, int], now: int, entry: Entry | None = None) -> None:
        self.commands.append((now, command, bank))
        for place in (bank, bank[:2], bank[:1]):
            self.last[command, place] = now
        if command == "ACT" and entry:
            self.activates[bank[0]].append(now)
            self.row[bank], self.served[bank] = entry.row, 0
        elif command == "PRE":
            self.row[bank] = None
        elif command in ("RD", "WR") and entry:
            self.served[bank] += 1
            self.queues[bank].remove(entry)
            del self.pending[entry.is_write, entry.address]
            if command == "RD":
                self.done.update(dict.fromkeys(entry.requests, now + int(self.p["read_done"])))

    def _choice(self, bank: tuple[int, int, int], now: int) -> tuple[str, Entry] | None:
        queue = self.queues[bank]
        for place, entry in enumerate(queue):
            if self.row[bank] is None:
                command = "ACT"
            elif self.row[bank] != entry.row:
                command = "PRE"
            else:
                command = "WR" if entry.is_write else "RD"
            if not self.is_legal(command, bank, now):
                continue
            if command == "PRE":
                hits = any(other.row == self.row[bank] for other in queue)
                if place > 0 or (hits and self.served[bank] < self.p["row_hit_cap"]):
                    continue
            older = [(o.row, o.column) for o in queue[:place] if not o.is_write]
            if command == "WR" and (entry.row, entry.column) in older:
                continue
            return command, entry
        return None

    def command(self, now: int) -> None:
        """Issue at most one command."""
        if self.due:
            rank = self.due[0]
            own = [bank for bank in self.banks if bank[0] == rank]
            opened = [bank for bank in own if self.row[bank] is not None]
            for bank in opened:
                if self.is_legal("PRE", bank, now):
                    return self.issue("PRE", bank, now)
            if not opened and self.is_legal("REF", own[0], now):
                self.due.pop(0)
                return self.issue("REF", own[0], now)
        for _ in self.banks:
            self.pointer = (self.pointer + 1) % len(self.banks)
            bank = self.banks[self.pointer]
            if self.due and bank[0] == self.due[0]:
                continue
            if choice := self._choice(bank, now):
                return self.issue(choice[0], bank, now, choice[1])
        return None

    def move(self) -> None:
        """Move at most one transaction to its bank queue."""
        full = len(self.writes) >= self.p["transaction_depth"]
        idle = not any(self.queues.values())
        if self.drain == 0 and (full or (len(self.writes) > self.p["drain_threshold"] and idle)):
            self.drain = len(self.writes)
        for waiting in (self.writes,) if self.drain else (self.reads,):
            room = [entry for entry in waiting if len(self.queues[entry.bank]) < self.p["queue_depth"]]
            if not room:
                return
            if room[0].is_write and (False, room[0].address) in self.pending:
                self.drain = 0
                reads = [
                    entry for entry in self.reads if len(self.queues[entry.bank]) < self.p["queue_depth"]
                ]
                if self.is_artifact or not reads:
                    return
                waiting, room = self.reads, reads
            self.drain -= room[0].is_write
            waiting.remove(room[0])
            self.queues[room[0].bank].append(room[0])

    def tick(self, now: int) -> None:
        if now and now % self.p["refresh_interval"] == 0:
            self.due.append(self.turn)
            self.turn = (self.turn + 1) % self.spec.ranks
        self.command(now)
        self.move()

    def accept(self, request: int, address: int, is_write: bool, now: int) -> bool:
        waiting = self.writes if is_write else self.reads
        if len(waiting) >= self.p["transaction_depth"]:
            return False
        if is_write or (True, address) in self.pending:
            self.done[request] = now + 2
        if not is_write and (True, address) in self.pending:
            return True
        entry = self.pending.get((is_write, address))
        if entry is None:
            part = lambda name: int(address >> int(self.p[f"{name}_shift"])) & int(self.p[f"{name}_mask"])  # noqa: E731
            bank = (part("rank"), part("bankgroup"), part("bank"))
            entry = Entry(address, bank, part("row"), part("column"), is_write)
            self.pending[is_write, address] = entry
            waiting.append(entry)
        entry.requests.append(request)
        return True


def twin_replay(
    spec: DramSpec, requests: list[tuple[int, bool, int]], is_artifact: bool, max_cycles: int = 40_000
) -> tuple[list[int], list[int], list[tuple[int, str, tuple[int, int, int]]]]:
    """Return accepts, completions and commands of (address, is_write, earliest cycle) on one channel."""
    channel = TwinChannel(spec, is_artifact)
    accept: list[int] = []
    for now in range(max_cycles):
        channel.tick(now)
        for _ in range(spec.issue_width):
            if len(accept) == len(requests) or requests[len(accept)][2] > now:
                break
            address, is_write, _ = requests[len(accept)]
            if not channel.accept(len(accept), address, is_write, now):
                break
            accept.append(now)
        if len(channel.done) == len(requests) and now >= max(channel.done.values()):
            break
    return accept, [channel.done.get(index, -1) for index in range(len(requests))], channel.commands
