"""Time as a parameter: whoever needs to know the time or to wait takes a `Clock`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Clock(Protocol):
    """What time it is, in two ways that must not be mixed."""

    def now(self) -> float:
        """Seconds since the epoch, UTC; may jump when the system's clock is set."""
        ...

    def elapsed(self) -> float:
        """Seconds since an arbitrary moment; never goes backwards."""
        ...


class SystemClock:
    """The clock of the machine."""

    # Bound once: both are called several times for each job.
    now: Callable[[], float] = staticmethod(time.time)
    elapsed: Callable[[], float] = staticmethod(time.perf_counter)

    @contextlib.contextmanager
    def replaced_by(self, other: Clock) -> Iterator[None]:
        """For the length of a block, give everybody who has this clock the time of another; for tests."""
        before = self.now, self.elapsed
        self.now, self.elapsed = other.now, other.elapsed
        try:
            yield
        finally:
            self.now, self.elapsed = before


async def pause(seconds: float) -> None:
    """Return after this many seconds."""
    await wait(asyncio.Event(), seconds)


async def wait(wake: asyncio.Event, seconds: float | None) -> None:
    """Return when the event is set, or after this many seconds if they are given."""
    if seconds is None:
        await wake.wait()
    elif not wake.is_set():
        # A timer and the event, without the task that asyncio.wait_for would make.
        timer = asyncio.get_running_loop().call_later(max(0.0, seconds), wake.set)
        try:
            await wake.wait()
        finally:
            timer.cancel()
