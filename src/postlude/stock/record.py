"""What is recorded of the tasks that FastAPI runs in one process: events, and what they add up to."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

Event: TypeAlias = "Sequence[Any]"
"""A word, and what it says; see `Tally.add`. In a file the same, as JSON."""


class Fate(StrEnum):
    """What became of a task that was added."""

    SUCCEEDED = "succeeded"
    """It returned."""
    FAILED = "failed"
    """It raised."""
    SKIPPED = "skipped"
    """One before it in its request raised, so it was never begun."""
    DISCARDED = "discarded"
    """Its request raised before it was answered, so it was never begun."""
    INTERRUPTED = "interrupted"
    """Its process ended while it ran, or waited for a thread."""
    UNBEGUN = "unbegun"
    """Its request was answered, and its process ended before it was begun."""
    CANCELLED = "cancelled"
    """Its request was answered, and then cancelled: the client was gone, or the server would not wait any longer."""
    DROPPED = "dropped"
    """FastAPI never began it, and nothing had raised before the answer."""


BY_RESTARTS: Final = (Fate.INTERRUPTED, Fate.UNBEGUN)
"""Lost with a process."""
OTHERWISE: Final = (Fate.CANCELLED, Fate.DROPPED)
"""Lost while the process went on."""


class Site(NamedTuple):
    """Where in the code a task is added, and which."""

    file: str
    line: int
    task: str
    """`module:qualname`."""
    source: str | None
    """The file that the task's function is in; None: it has no source."""
    name: str
    """Of that function, without what it is in."""
    first_line: int
    decided: bool
    """Whether `@task(interrupted=...)` says what becomes of it when its process dies in mid-run."""


class Refused(NamedTuple):
    """Why a call could not have been stored."""

    reason: str
    cure: str


class Seen:
    """What came of the tasks of one call site."""

    def __init__(self, site: Site) -> None:
        self.site: Site = site
        self.fates: Counter[Fate] = Counter()
        self.refused: Refused | None = None
        """Why the first such call could not have been stored; None: there was none."""


class Tally:
    """What the events of a process add up to."""

    def __init__(self) -> None:
        self.sites: dict[int, Seen] = {}
        self.open: dict[int, tuple[int, bool]] = {}
        """By its number, of each task that was answered for and has not ended: its site, and whether it was begun."""
        self.missed: int = 0
        """Events that could not be recorded."""

    def add(self, event: Event) -> None:
        """Add one. What is said of a task that nobody has heard of is ignored: somebody ran it a second time."""
        match event:
            case ["added", task, number]:  # at the site with that number
                self.open[task] = number, False
            case ["begun", task] if task in self.open:
                self.open[task] = (self.open[task][0], True)
            case ["ended", task, fate] if task in self.open:
                self._count(self.open.pop(task)[0], fate)
            case ["count", number, fate, times]:  # tasks that had no number
                self._count(number, fate, times)
            case ["site", number, *fields]:
                self.sites[number] = Seen(Site(*fields))
            case ["refused", number, *fields] if number in self.sites:
                self.sites[number].refused = Refused(*fields)
            case ["missed", times]:
                self.missed += times

    def _count(self, number: int, fate: str, times: int = 1) -> None:
        if number in self.sites:
            self.sites[number].fates[Fate(fate)] += times
        else:
            self.missed += times  # as was the event that told of the site

    def events(self) -> list[Event]:
        """The fewest that add up to the same."""
        events: list[Event] = [("missed", self.missed)] if self.missed else []
        for number, seen in self.sites.items():
            events.append(("site", number, *seen.site))
            events += [("count", number, fate, times) for fate, times in seen.fates.items()]
            if seen.refused is not None:
                events.append(("refused", number, *seen.refused))
        for task, (number, begun) in self.open.items():
            events.append(("added", task, number))
            if begun:
                events.append(("begun", task))
        return events

    def end(self) -> None:
        """Its process is gone, and with it what had not ended."""
        for number, begun in self.open.values():
            self._count(number, Fate.INTERRUPTED if begun else Fate.UNBEGUN)
        self.open.clear()

    def count(self, *fates: Fate) -> int:
        """How many tasks came to one of these."""
        return sum(seen.fates[fate] for seen in self.sites.values() for fate in fates)
