"""The same face for code that cannot await: scripts, threads, `def` tasks."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, Unpack

from postlude.client.bulk import untold
from postlude.errors import LoopBlocking
from postlude.loops import running_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from uuid import UUID

    from postlude.client.bulk import Bulk, Told
    from postlude.client.handle import Job
    from postlude.client.jobs import Jobs
    from postlude.client.timetable import ScheduleInfo, Schedules
    from postlude.client.wanted import Wanted
    from postlude.durations import Duration
    from postlude.job import Attempt, JobState
    from postlude.loglines import LogLine
    from postlude.pauses import Pause

P = ParamSpec("P")
T = TypeVar("T")


END_WITHIN: Final = 5.0
"""Seconds that its thread has to end: what runs there is cancelled, and may hold on for longer."""


class Portal:
    """An event loop in a daemon thread, started when it is first needed; each process has its own.

    It ends with `close`, or when nobody has the portal any more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: tuple[int, asyncio.AbstractEventLoop] | None = None
        self._ending: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine there, and wait for what it returns.

        Raises:
            LoopBlocking: called on the thread of an event loop, which could do nothing else meanwhile.
        """
        if running_loop() is not None:
            work.close()
            raise LoopBlocking
        return asyncio.run_coroutine_threadsafe(work, self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._loop[0] != os.getpid():
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run_on, args=(loop,), name="postlude-blocking", daemon=True)
                self._thread.start()
                self._loop = (os.getpid(), loop)
                ending = weakref.finalize(self, _end, *self._loop)
                ending.atexit = False
                self._ending = ending
            return self._loop[1]

    def close(self) -> None:
        """End the loop, and return when its thread has ended. Idempotent; what is called afterwards starts another."""
        with self._lock:
            self._loop = None
            if self._ending is not None:
                self._ending()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(END_WITHIN)


def _run_on(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:  # which cancels what is left, so that nobody waits for it
        runner.get_loop().run_forever()


def _end(process: int, loop: asyncio.AbstractEventLoop) -> None:
    if process == os.getpid():  # a forked child has no such thread
        loop.call_soon_threadsafe(loop.stop)


class BlockingJobs:
    """`durable.jobs` for code that cannot await; see `Jobs` for what each does."""

    def __init__(self, jobs: Jobs, portal: Portal) -> None:
        self._jobs = jobs
        self._portal = portal

    def get(self, job_id: UUID | str) -> Job[Any]:
        """See `Jobs.get`."""
        return self._portal.call(self._jobs.get(job_id))

    def list(self, *, limit: int = 100, before: UUID | str | None = None, **wanted: Unpack[Wanted]) -> list[Job[Any]]:
        """See `Jobs.list`."""
        return self._portal.call(self._jobs.list(limit=limit, before=before, **wanted))

    def count(self, **wanted: Unpack[Wanted]) -> Mapping[JobState, int]:
        """See `Jobs.count`."""
        return self._portal.call(self._jobs.count(**wanted))

    def cancel(self, job_id: UUID | str, *, reason: str = "cancelled on request") -> Job[Any]:
        """See `Jobs.cancel`."""
        return self._portal.call(self._jobs.cancel(job_id, reason=reason))

    def retry(self, job_id: UUID | str) -> Job[Any]:
        """See `Jobs.retry`."""
        return self._portal.call(self._jobs.retry(job_id))

    def delete(self, job_id: UUID | str) -> None:
        """See `Jobs.delete`."""
        self._portal.call(self._jobs.delete(job_id))

    def pause(
        self,
        *,
        queue: str | None = None,
        task: str | Callable[..., Any] | None = None,
        partition: object = None,
        everything: bool = False,
        reason: str | None = None,
    ) -> Pause:
        """See `Jobs.pause`."""
        paused = self._jobs.pause(queue=queue, task=task, partition=partition, everything=everything, reason=reason)
        return self._portal.call(paused)

    def resume(
        self,
        *,
        queue: str | None = None,
        task: str | Callable[..., Any] | None = None,
        partition: object = None,
        everything: bool = False,
    ) -> bool:
        """See `Jobs.resume`."""
        resumed = self._jobs.resume(queue=queue, task=task, partition=partition, everything=everything)
        return self._portal.call(resumed)

    def retry_many(self, *, rate: str | None = None, told: Told = untold, **wanted: Unpack[Wanted]) -> Bulk:
        """See `ManyJobs.retry_many`."""
        return self._portal.call(self._jobs.retry_many(rate=rate, told=told, **wanted))

    def cancel_many(
        self, *, reason: str = "cancelled on request", told: Told = untold, **wanted: Unpack[Wanted]
    ) -> Bulk:
        """See `ManyJobs.cancel_many`."""
        return self._portal.call(self._jobs.cancel_many(reason=reason, told=told, **wanted))

    def delete_many(self, *, told: Told = untold, **wanted: Unpack[Wanted]) -> Bulk:
        """See `ManyJobs.delete_many`."""
        return self._portal.call(self._jobs.delete_many(told=told, **wanted))

    def pauses(self) -> Sequence[Pause]:
        """See `Jobs.pauses`."""
        return self._portal.call(self._jobs.pauses())

    def history(self, job_id: UUID | str) -> Sequence[Attempt]:
        """See `Jobs.history`."""
        return self._portal.call(self._jobs.history(job_id))

    def logs(self, job_id: UUID | str) -> Sequence[LogLine]:
        """See `Jobs.logs`."""
        return self._portal.call(self._jobs.logs(job_id))

    def wait(self, job_id: UUID | str, *, timeout: Duration | None = None) -> Job[Any]:
        """See `Jobs.wait`."""
        return self._portal.call(self._jobs.wait(job_id, timeout=timeout))


class BlockingSchedules:
    """`durable.schedules` for code that cannot await; see `Schedules` for what each does."""

    def __init__(self, schedules: Schedules, portal: Portal) -> None:
        self._schedules = schedules
        self._portal = portal

    def list(self) -> list[ScheduleInfo]:
        """See `Schedules.list`."""
        return self._portal.call(self._schedules.list())

    def run(self, name: str) -> Job[Any]:
        """See `Schedules.run`."""
        return self._portal.call(self._schedules.run(name))

    def forget(self, name: str) -> None:
        """See `Schedules.forget`."""
        self._portal.call(self._schedules.forget(name))
