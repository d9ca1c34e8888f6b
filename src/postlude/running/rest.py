"""The last wait of a process that stops: until what runs has ended, or its time is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from postlude.clock import wait

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from uuid import UUID

    from postlude.running.admitted import Admitted

LAST_WORDS: Final = 1.0
"""Seconds that a cancelled coroutine has to end when the process stops."""


class Rest:
    """Waits for attempts to end.

    Args:
        running: those that run.
    """

    def __init__(self, running: Mapping[UUID, Admitted]) -> None:
        self._running = running
        self._hurried = False
        self.cut_short: bool = False
        """Whether the grace was ended before its time."""
        self._resting: tuple[asyncio.Event, Callable[[Admitted], bool]] | None = None
        """Set when none of those attempts runs; there only while somebody waits for that."""

    async def grace(self, seconds: float) -> Collection[Admitted]:
        """Return when nothing runs but in threads that were left alone, or after that time; gives what still runs."""
        await self._rest(0.0 if self._hurried else seconds, lambda attempt: not attempt.abandoned)
        self.cut_short = self._hurried  # what comes later finds it over
        return list(self._running.values())

    async def last_words(self) -> None:
        """Return when none runs that ends when it is told to, or is given up."""
        await self._rest(LAST_WORDS, lambda attempt: attempt.can_end)

    async def _rest(self, seconds: float, which: Callable[[Admitted], bool]) -> None:
        if seconds > 0 and any(map(which, self._running.values())):
            self._resting = (asyncio.Event(), which)
            await wait(self._resting[0], seconds)
            self._resting = None

    def look(self) -> None:
        """An attempt has ended."""
        if self._resting is not None and not any(map(self._resting[1], self._running.values())):
            self._resting[0].set()

    def hurry(self) -> None:
        """The grace is over, whatever is left of it."""
        self._hurried = True
        if self._resting is not None:
            self._resting[0].set()
