"""A run dealt out among shards: each takes every n-th unit, so that all have the same work and none has to ask."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from focal_common.errors import ConfigError
from focal_common.reading.values import whole_number


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a run.

    Attributes:
        number: From 1 to ``count``.
        count: Shards of the run.

    Raises:
        ConfigError: There is no such shard.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(
                f"shard {self.number}/{self.count}: expected a number from 1 to {self.count}",
                about=("shard",),
            )

    def holds(self, unit: int) -> bool:
        """Return whether a unit of the run, counted from 0, is of this shard."""
        return unit % self.count == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def read_shard(text: str, environment: Mapping[str, str]) -> Shard | None:
    """Return the shard that is asked for; None for a whole run.

    Args:
        text: Such as ``2/8``; empty to look whether ``torchrun`` or ``accelerate launch`` has started this process.
        environment: Environment variables.

    Raises:
        ConfigError: It is no shard.
    """
    if text:
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if found is None:
            raise ConfigError(f"shard '{text}': expected NUMBER/COUNT, such as 2/8", about=("shard",))
        return Shard(int(found[1]), int(found[2]))
    if not (environment.get("RANK") and environment.get("WORLD_SIZE")):
        return None
    rank, world = (read_rank(environment, name) for name in ("RANK", "WORLD_SIZE"))
    return Shard(rank + 1, world) if world > 1 else None


def read_rank(environment: Mapping[str, str], name: str) -> int:
    """Return a number that ``torchrun`` or ``accelerate launch`` gives to a process; raises `ConfigError`."""
    try:
        return whole_number(environment[name])
    except ValueError as error:
        raise ConfigError(f"environment variable {name}: {error}") from error


def read_devices(text: str) -> tuple[str, ...]:
    """Return numbers of devices from text such as ``0-7`` or ``0,2,5``; empty for empty text.

    Raises:
        ConfigError: It names none, or one twice.
    """
    found: list[int] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        ends = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", word)
        if ends is None or int(ends[2] or ends[1]) < int(ends[1]):
            raise ConfigError(f"devices '{text}': expected numbers such as 0-7 or 0,2,5", about=("devices",))
        found += range(int(ends[1]), int(ends[2] or ends[1]) + 1)
    if len(set(found)) != len(found):
        raise ConfigError(f"devices '{text}': a device is named twice", about=("devices",))
    return tuple(map(str, found))
