"""Whether a worker still does what it is there for, or has to be started again. Never whether work waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from postlude.runtime import Runtime

LOOK_EVERY: Final = 1.0
"""Seconds between two turns of the event loop that it takes note of."""
LOOP_SILENT_AFTER: Final = 5.0
"""Seconds without such a turn, after which something blocks the loop. A probe that fails for it is to be repeated: a
task that computes for ten seconds harms the others, and yet ends."""
STORE_SILENT_AFTER: Final = 30.0
"""Seconds without an answer of the store, or without knowing that the worker's lease holds: as long as the lease."""


class Report(NamedTuple):
    """What is said of a worker."""

    state: Literal["starting", "running", "stopping"]
    problems: list[str]

    @property
    def healthy(self) -> bool:
        """Whether it is started and nothing is wrong. One that stops is let alone."""
        return self.state != "starting" and not self.problems


class Health:
    """Takes note on the worker's loop, and reports in any thread.

    Args:
        engine: of the application.
    """

    def __init__(self, engine: Runtime) -> None:
        self._engine = engine
        self._clock = engine.clock
        self._state: Literal["starting", "running", "stopping"] = "starting"
        self._moved_at = self._answered_at = self._clock.elapsed()
        self._looks = 0
        self._worn_out = False
        self._timer: asyncio.TimerHandle | None = None

    def running(self) -> None:
        """The application has started; on its loop."""
        self._state = "running"
        self._answered_at = self._clock.elapsed()
        self._look()

    def stopping(self) -> None:
        """The worker was told to end: from now on nobody needs to end it."""
        self._state = "stopping"
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._moved_at = self._clock.elapsed()
        process = self._engine.opening.here
        if process is not None:
            self._worn_out = process.attempts.worn_out
            if process.worker.looks != self._looks:
                self._looks = process.worker.looks
                self._answered_at = self._moved_at
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)

    def report(self) -> Report:
        """What is wrong just now."""
        if self._state != "running":
            return Report(self._state, [])
        now = self._clock.elapsed()
        silent = now - self._moved_at
        if silent > LOOP_SILENT_AFTER:
            # What else is known was noted on the loop, and is as old as that.
            return Report("running", [f"a task has blocked the event loop for {silent:.0f} s"])
        problems = []
        if self._worn_out:
            problems.append("too many threads are stuck in tasks that ran longer than their timeout")
        if now - self._answered_at > STORE_SILENT_AFTER:
            problems.append(f"the store has not answered for {now - self._answered_at:.0f} s")
        process = self._engine.opening.here
        unknown = 0.0 if process is None else process.store.silence()
        if unknown > STORE_SILENT_AFTER:
            problems.append(f"the lease was not extended for {unknown:.0f} s: other workers may have taken the jobs")
        return Report("running", problems)
