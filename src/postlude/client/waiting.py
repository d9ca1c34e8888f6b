"""Those who wait for jobs to end: told at once of what this process settles, and looking for what others do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from postlude.clock import wait
from postlude.errors import WaitTimeout

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.job import Record, Settlement

LOOK_AGAIN: Final = (0.02, 0.5)
"""Seconds between two looks at a job that another process runs: doubling from the first to the last."""


class Waiter(Protocol):
    """Who waits for a job, on whichever event loop."""

    def tell(self) -> None:
        """The job was settled. Called on any thread, and returns at once."""
        ...


class Waiters:
    """Everybody in this process who waits for a job.

    Args:
        clock: what time it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiters: dict[UUID, set[Waiter]] = {}

    lock: ClassVar[threading.Lock] = threading.Lock()
    """Those who wait may do so on several event loops, each in a thread of its own. One for all: it is held for a
    moment, and the child of a fork has one to renew."""

    @property
    def nobody(self) -> bool:
        """Whether nobody waits."""
        return not self._waiters

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Wake those who wait for one of these jobs."""
        if not self.nobody:
            with self.lock:
                told = [waiter for each in settlements for waiter in self._waiters.get(each.job_id, ())]
            for waiter in told:
                waiter.tell()

    async def wait(self, job_id: UUID, read: Callable[[], Awaitable[Record]], seconds: float | None) -> Record:
        """The job when it has ended.

        Args:
            job_id: which.
            read: reads it.
            seconds: to wait at most; None: for ever.

        Raises:
            WaitTimeout: it had not ended in time.
        """
        deadline = None if seconds is None else self._clock.elapsed() + seconds
        pause, longest = LOOK_AGAIN
        waiter = _Waiting(asyncio.get_running_loop())
        with contextlib.ExitStack() as told:
            told.enter_context(self.telling(job_id, waiter))
            while True:
                waiter.ended.clear()
                record = await read()
                if record.state.finished:
                    return record
                if record.id != job_id:
                    # Another job answers for that id, and may have ended before it is listened for.
                    job_id = record.id
                    told.enter_context(self.telling(job_id, waiter))
                    continue
                if deadline is not None:
                    left = deadline - self._clock.elapsed()
                    if seconds is not None and left <= 0:
                        raise WaitTimeout(job_id, seconds, record.state.value)
                    pause = min(pause, left)
                await wait(waiter.ended, pause)
                pause = min(pause * 2, longest)

    @contextlib.contextmanager
    def telling(self, job_id: UUID, waiter: Waiter) -> Iterator[None]:
        """Within the block the waiter is told when this process settles the job."""
        with self.lock:
            self._waiters.setdefault(job_id, set()).add(waiter)
        try:
            yield
        finally:
            with self.lock:
                waiters = self._waiters[job_id]
                waiters.discard(waiter)
                if not waiters:
                    del self._waiters[job_id]


class _Waiting:
    """One of them, perhaps on another event loop than the one that settles the job."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ended = asyncio.Event()

    def tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.ended.set)


def _renew_lock() -> None:
    """In the child of a fork nobody would let go of a lock that another thread of the parent had."""
    Waiters.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
