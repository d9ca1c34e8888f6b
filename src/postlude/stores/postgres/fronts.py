"""Where what waits begins in each lane: so that a claim need not walk over everything that was claimed before it.

A claimed job's entry stays in the index until it is dead for everybody. While some transaction is open for long (a
report, a backup), that is for long, and the entries pile up at the beginning of each lane. A look from the front passes
them by; what comes before it is found by looks from the beginning, which have a share of the time. While those are
quick, as they are without such a pile, there is nothing to save, and every look is one.
"""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from postlude.stores.lanes import Lane, Place

Position = tuple[float, int]
"""The moment and the number of a job: the order in a lane."""

SHARE: Final = 0.05
"""Of the time, for looks that take long."""
QUICK: Final = 0.003
"""Seconds of a look of which nothing is to be saved."""
AT_ONCE: Final = 1.0
"""Seconds of looks that may come together: what is slow once in a while is not spared."""
LONGEST: Final = 30.0
"""Seconds after which there is a look from the beginning again, however long the last one took: so long may wait what
comes before a front."""
LATE: Final = 0.5
"""Seconds by which a commit may come later than the moments of its jobs, and they are still behind the front."""
CLAIM: Final = 0.02
"""Seconds that a claim of many jobs may take by itself."""
MOST_KNOWN: Final = 1_000
"""Lanes that are remembered though nothing waits in them."""

_NOWHERE: Final[Position] = (-inf, 0)
_FIRST: Final[Place] = ("", "", -(2**31))
_LAST: Final[Place] = ("\U0010ffff", "\U0010ffff", 2**31 - 1)


class Allowance:
    """Keeps something that can be costly to a share of the time.

    Args:
        clock: seconds, on a clock that never goes backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._left = AT_ONCE
        self._counted_at = clock()

    def is_left(self) -> bool:
        """Whether it may be done now."""
        now = self.clock()
        self._left = min(AT_ONCE, self._left + SHARE * (now - self._counted_at))
        self._counted_at = now
        return self._left > 0

    def spend(self, seconds: float) -> None:
        """It was done, and took so long."""
        if seconds > QUICK:
            self._left = max(self._left - seconds, -SHARE * LONGEST)


class Fronts:
    """The fronts of the lanes without limits, as far as this process knows them.

    Args:
        clock: seconds, on a clock that never goes backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock: Callable[[], float] = clock
        self.allowance: Allowance = Allowance(clock)
        self._fronts: dict[Place, Position] = {}
        self._limited: Sequence[Lane] = ()
        """Those with limits, which have no front, as the last look from the beginning has seen them."""
        self._late: Position = _NOWHERE
        """What is behind this may still be committed."""
        self._into_gaps = True
        """Whether a look between the known lanes is quick, as far as anybody knows."""

    def from_beginning(self) -> bool:
        """Whether the next look is to be one from the beginning of each lane."""
        return self.allowance.is_left()

    def columns(self) -> list[list[Any]]:
        """What `look_on.sql` is given: the known lanes with their fronts, and the gaps between them."""
        known = sorted(self._fronts)
        starts = [(*place, *min(self._fronts[place], self._late)) for place in known]
        gaps = [(*low, *high) for low, high in zip([_FIRST, *known], [*known, _LAST], strict=True)]
        return [*_columns(starts, 5), *_columns(gaps if self._into_gaps else [], 6)]

    def looked(self, seconds: float, *, from_beginning: bool) -> None:
        """A look has taken so long."""
        if from_beginning or self._into_gaps:
            self.allowance.spend(seconds)
        self._into_gaps = from_beginning or (self._into_gaps and seconds <= QUICK)

    def seen(self, lanes: Iterable[Lane], firsts: Mapping[Place, Position], *, from_beginning: bool) -> list[Lane]:
        """These lanes were seen with their first jobs; returns them, and those that such a look does not read."""
        for place, (run_at, seq) in firsts.items():
            self._fronts.setdefault(place, (run_at, seq - 1))
        if not from_beginning:
            return [*lanes, *self._limited]
        self._limited = [lane for lane in lanes if lane.limited]
        if len(self._fronts) > MOST_KNOWN:
            self._fronts = {place: self._fronts[place] for place in firsts}
        return list(lanes)

    def reached(self, place: Place, position: Position, now: float) -> None:
        """Everything in a lane up to there is claimed, by this process or by others."""
        self._late = now - LATE, 0
        self._fronts[place] = max(position, self._fronts.get(place, _NOWHERE))

    def passed(self, firsts: Mapping[Place, Position], seconds: float) -> None:
        """A claim that began with these jobs has taken so long: from before a front it has walked up to it."""
        if any(first <= self._fronts.get(place, _NOWHERE) for place, first in firsts.items()):
            self.allowance.spend(seconds - CLAIM)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
