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


class FollowingClock(Clock, Protocol):
    """One that can be told by how much another one is ahead, and goes by that one then."""

    def set_ahead(self, seconds: float) -> None:
        """From now on `now` is the machine's time and so many seconds. From any thread."""
        ...


def machine_time() -> float:
    """Seconds since the epoch by the machine's own clock, whatever others go by."""
    return time.time()


class SystemClock:
    """The clock of the machine, or of the database that several machines share."""

    # Bound once: both are called several times for each job.
    now: Callable[[], float] = staticmethod(time.time)
    elapsed: Callable[[], float] = staticmethod(time.perf_counter)

    def __init__(self) -> None:
        self._own = self.now
        self._is_replaced = False

    def set_ahead(self, seconds: float) -> None:
        """See `FollowingClock`."""
        self._own = lambda: time.time() + seconds
        if not self._is_replaced:
            self.now = self._own

    @contextlib.contextmanager
    def replaced_by(self, other: Clock) -> Iterator[None]:
        """For the length of a block, give everybody who has this clock the time of another; for tests."""
        was_replaced, now, elapsed = self._is_replaced, self.now, self.elapsed
        self._is_replaced, self.now, self.elapsed = True, other.now, other.elapsed
        try:
            yield
        finally:
            # Its own may have been set in the meantime.
            self._is_replaced, self.now, self.elapsed = was_replaced, now if was_replaced else self._own, elapsed


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
