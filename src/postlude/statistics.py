"""What is counted of tasks: which measures there are, and how one process adds them up between two writes.

A histogram is a count for each of `BOUNDS`, and one for what is above the last.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, NamedTuple

from postlude.events import CallsDiscarded, CallsUnsaved

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.clock import Clock
    from postlude.events import Event
    from postlude.telling import Events

MEASURES: Final = (
    "succeeded",
    "failed",
    "cancelled",
    "interrupted",
    "postponed",
    "discarded",
    "ephemeral",
    "unsaved",
)
"""What an attempt came to: its job has succeeded, failed for good or was cancelled; or the attempt was interrupted,
also if its job is set aside; or it ended with another one to come later. And of calls: those that will not run since
their request raised, those that run unstored since they cannot be stored, and those since the store did not take them.

This is all that is counted of tasks, in `Tallies.note`: the pages, Prometheus and OpenTelemetry have it from there."""

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
"""Up to how many seconds a bucket of a histogram reaches, that itself included."""


class Minute(NamedTuple):
    """What was counted of one task in one minute."""

    moment: int
    """When it begins; seconds since the epoch."""
    task: str
    counts: dict[str, int]
    """By measure; `start:<n>` and `run:<n>` are the buckets of the histograms of start latency and run time."""


_MINUTE: Final = 60
"""Seconds."""
_FOLDED_AT: Final = 500
"""Endings that are kept as they are before they are added up: a fraction of a millisecond of work."""
_NAMES: Final = (
    *MEASURES,
    *(f"start:{number}" for number in range(len(BOUNDS) + 1)),
    *(f"run:{number}" for number in range(len(BOUNDS) + 1)),
)
"""Of all that is counted, in the order in which it stands in a row."""
_PLACES: Final = {name: place for place, name in enumerate(_NAMES)}
_START: Final = _PLACES["start:0"]
_RUN: Final = _PLACES["run:0"]


class Tallies:
    """What one process has counted and not written down yet. From any thread.

    While jobs end, nothing is done but to note what is known already: it is added up later, many at a time.
    """

    def __init__(self) -> None:
        # Always the same list: whoever has it at hand while others add up what is in it appends to no other.
        self._noted: list[tuple[str, str, float, float | None, float | None]] = []
        self._rows: dict[tuple[int, str], list[int]] = {}
        self._adding_up = threading.Lock()
        self.told: Callable[[str, str, float | None, float | None], object] | None = None
        """Told at once of each thing that is noted, but not of when; in the same thread. None: nobody asks for that."""

    def note(self, task: str, measure: str, at: float, waited: float | None = None, took: float | None = None) -> None:
        """Count something.

        Args:
            task: of which task.
            measure: one of `MEASURES`.
            at: when it was; seconds since the epoch.
            waited: seconds from when the job was due to the start of the attempt; None: that is not known.
            took: seconds from its start to its end.
        """
        self._noted.append((task, measure, at, waited, took))
        if self.told is not None:
            self.told(task, measure, waited, took)
        # Whoever adds up already leaves what comes meanwhile to the next.
        if len(self._noted) >= _FOLDED_AT and self._adding_up.acquire(blocking=False):
            try:
                self._add_up()
            finally:
                self._adding_up.release()

    def take(self) -> list[Minute]:
        """All that was counted; from now on it counts anew."""
        with self._adding_up:
            self._add_up()
            rows, self._rows = self._rows, {}
        return [
            Minute(moment, task, {name: count for name, count in zip(_NAMES, row, strict=True) if count})
            for (moment, task), row in rows.items()
        ]

    def put_back(self, minutes: list[Minute]) -> None:
        """What was taken, and could not be written down."""
        with self._adding_up:
            for minute in minutes:
                row = self._row(minute.moment, minute.task)
                for name, count in minute.counts.items():
                    row[_PLACES[name]] += count

    def _add_up(self) -> None:
        noted = self._noted[:]
        del self._noted[: len(noted)]
        row: list[int] = []
        of, begins = "", 0
        for task, measure, at, waited, took in noted:
            # Most often it is the row of the one before.
            if task != of or not begins <= at < begins + _MINUTE:
                of, begins = task, int(at) // _MINUTE * _MINUTE
                row = self._row(begins, task)
            row[_PLACES[measure]] += 1
            if waited is not None:
                row[_START + bisect_left(BOUNDS, waited)] += 1
            if took is not None:
                row[_RUN + bisect_left(BOUNDS, took)] += 1

    def _row(self, moment: int, task: str) -> list[int]:
        found = self._rows.get((moment, task))
        if found is None:
            found = self._rows.setdefault((moment, task), [0] * len(_NAMES))
        return found


def tallies_of(events: Events, clock: Clock) -> Tallies:
    """Tallies that hear, of all that happens, which calls come to nothing or run without being stored."""
    tallies = Tallies()

    def hear(event: Event) -> None:
        if isinstance(event, CallsDiscarded | CallsUnsaved):
            measure = "discarded" if isinstance(event, CallsDiscarded) else "unsaved"
            for task in event.tasks:
                tallies.note(task, measure, clock.now())

    events.subscribe(hear)
    return tallies
