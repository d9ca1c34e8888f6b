"""How a process is told to end, how much of its grace is left, and what is said of those who outlast it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from postlude import telemetry
from postlude.lifetime.signals import SignalWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from postlude.clock import Clock
    from postlude.lifetime.opening import Opening
    from postlude.lifetime.process import Process
    from postlude.lifetime.supervisor import Supervisor

BEYOND_THE_GRACE: Final = 10.0
"""Seconds that a process may have beyond its grace before it is killed: 1 for what was cancelled (`rest.LAST_WORDS`), 2
for the last outcomes and 2 to leave (`process.SETTLE_WITHIN`), 2 for Python and 1 for what was printed (`standalone`),
and the rest for the end of the application's lifespan."""


class Grace:
    """The time that running attempts have, from the first word that the process is to end.

    Args:
        opening: has what is open.
        clock: what time it is.
        seconds: gives the whole of it, as the settings say.
    """

    def __init__(self, opening: Opening, clock: Clock, seconds: Callable[[], float]) -> None:
        self._opening = opening
        self._clock = clock
        self._seconds = seconds
        self._over_at: float | None = None
        """On the clock that never goes backwards; None: nobody has said a word."""
        self._ending: Process | None = None
        """What is not open any more, and has not ended yet."""
        self._signals = SignalWatch(self.begin)
        self.told: bool = False
        """Whether the process was told to end, and has not ended yet."""
        self.on_told: Callable[[], object] = lambda: None
        """Called when it is, and when it ends without a word; on any thread, or in a signal handler."""
        self.supervisor: Supervisor | None = None
        """Of the child that runs the jobs in place of this process; None: there is none."""

    def listen(self) -> None:
        """Hear the signals that end the process, from now on."""
        self._signals.start()

    def begin(self, *, announced: bool = True) -> None:
        """The process is told to end; a server now waits for its open responses. In any thread, or a signal handler.

        Args:
            announced: see `Process.begin_stop`.
        """
        self.told = True
        self.on_told()
        process, supervisor = self._running, self.supervisor
        if self._over_at is None and (process is not None or supervisor is not None):
            self._over_at = self._clock.elapsed() + self._seconds()
        if supervisor is not None:
            supervisor.begin_stop()
        if process is not None:
            process.call(lambda: process.begin_stop(self._seconds(), announced=announced))

    def end(self) -> None:
        """It is over, whatever is left of it. In any thread, or a signal handler."""
        process = self._running
        if process is not None:
            process.call(process.attempts.rest.hurry)

    @property
    def _running(self) -> Process | None:
        process = self._ending or self._opening.here
        return process if process is not None and process.loop is not None else None

    def take(self) -> float:
        """The seconds that are left. The signals are left to those who had them before."""
        self.on_told()
        self.told = False
        with contextlib.suppress(ValueError):  # not in the main thread: the handlers stay, and find nothing to do
            self._signals.stop()
        over_at, self._over_at = self._over_at, None
        return self._seconds() if over_at is None else max(0.0, over_at - self._clock.elapsed())

    async def stop(self, process: Process, seconds: float) -> None:
        """End what is open, or was until now, and say what outlasts it."""
        left: Collection[str] = ()
        if self.supervisor is not None:
            await self.supervisor.stop(seconds)
            self.supervisor = None
        if process.running_here:
            self._ending = process
            left = await process.stop(seconds)
            self._ending = None
        else:
            await process.close()
        if left:
            after, longer = "it was told to end at once", ""
            if not process.attempts.rest.cut_short:
                after = f"the {self._seconds():g} s that shutdown_grace allows"
                longer = "; Postlude(shutdown_grace=...) gives it longer"
            telemetry.warn(
                f"{', '.join(left)}: still running after {after}. What does not end before the process does is kept, "
                f"and runs again from its beginning at the next start{longer}"
            )
        if refused := process.withdrawals.tasks:
            telemetry.warn(
                f"refused with 503, and not known to be removed from the store, which does not answer: "
                f"{', '.join(refused)}; if they are there, they run when this process has ended"
            )
