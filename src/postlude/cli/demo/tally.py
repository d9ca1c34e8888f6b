"""What the service's log says about the notifications that were promised."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LOG: Final = "notifications.log"
"""The service's log, in its working directory. A line is a moment, a process, and `up`, `started N` or `finished N`."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the promised notifications have come how far."""

    acknowledged: int
    """Promised: the client has the answer."""
    begun: int
    """Started at least once."""
    delivered: int
    """Finished at least once."""
    run_twice: int
    """Started more than once."""
    delivered_twice: int
    """Finished more than once."""

    @property
    def lost(self) -> int:
        """Promised and not delivered; before the end, those that are still to come."""
        return self.acknowledged - self.delivered

    @property
    def running(self) -> int:
        """Begun and not delivered."""
        return self.begun - self.delivered

    @property
    def waiting(self) -> int:
        """Promised and not begun."""
        return self.acknowledged - self.begun


class _Entry(NamedTuple):
    moment: float
    process: int
    event: str
    number: int | None


def tally(lines: Iterable[str], acknowledged: Collection[int]) -> Tally:
    """Count the log against the numbers of the notifications that were promised. Others do not count."""
    promised = frozenset(acknowledged)
    counts = Counter((entry.event, entry.number) for entry in _read(lines) if entry.number in promised)
    started = [count for (event, _), count in counts.items() if event == "started"]
    finished = [count for (event, _), count in counts.items() if event == "finished"]
    return Tally(
        acknowledged=len(promised),
        begun=len(started),
        delivered=len(finished),
        run_twice=sum(count > 1 for count in started),
        delivered_twice=sum(count > 1 for count in finished),
    )


class Resumption(NamedTuple):
    """How soon a process got to work, as two moments in seconds since the epoch."""

    up: float
    """It was ready to work."""
    first_task: float
    """Its first task started."""


def resumption(lines: Iterable[str], process: int) -> Resumption | None:
    """When a process was up and when its first task started; None if the log does not have both."""
    moments: dict[str, float] = {}
    for entry in _read(lines):
        if entry.process == process:
            moments.setdefault(entry.event, entry.moment)
    return Resumption(moments["up"], moments["started"]) if {"up", "started"} <= moments.keys() else None


def _read(lines: Iterable[str]) -> Iterator[_Entry]:
    for line in lines:
        match line.split():
            case [moment, process, "up"]:
                yield _Entry(float(moment), int(process), "up", None)
            case [moment, process, "started" | "finished" as event, number]:
                yield _Entry(float(moment), int(process), event, int(number))
