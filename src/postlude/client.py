"""What a caller can do with jobs: look at them, wait for them, cancel them, have them run again."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final, Literal
from uuid import UUID

from postlude.clock import wait
from postlude.errors import (
    CallError,
    JobNotFound,
    UnknownValue,
    WaitInRequest,
    WaitTimeout,
)
from postlude.handle import Job
from postlude.ids import new_job_id
from postlude.job import JobState, Record
from postlude.pauses import Pause
from postlude.stores.contract import Filter
from postlude.terms import text_of, wrong_queue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from postlude.clock import Clock
    from postlude.job import Attempt, Settlement
    from postlude.loglines import LogLine
    from postlude.stores.contract import Store

Change = Literal["cancelled", "queued", "paused"]
"""What somebody did to jobs."""

LOOK_AGAIN: Final = (0.02, 0.5)
"""Seconds between two looks at a job that another process runs: doubling from the first to the last."""


class Jobs:
    """All jobs of one store.

    Args:
        opened: gives the store, opened in this process.
        clock: what time it is.
        open_calls: the ids of jobs that the current request has added and that start when it is over.
        changed: called after a job that may be running here was asked to cancel, after one was queued, and after
            something was paused or resumed.
        named: gives the name of a task, for its function too.
        read_result: given a task's name and a stored text, gives what the job returned; raises `DoesNotFit`.
    """

    def __init__(
        self,
        opened: Callable[[], Awaitable[Store]],
        clock: Clock,
        *,
        open_calls: Callable[[], Collection[UUID]],
        changed: Callable[[Change], None],
        named: Callable[[str | Callable[..., Any]], str],
        read_result: Callable[[str, str], Any],
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._open_calls = open_calls
        self._changed = changed
        self._named = named
        self.read_result = read_result
        self._waiters: dict[UUID, set[_Waiter]] = {}
        self._waiters_lock = threading.Lock()
        """Those who wait may do so on several event loops, each in a thread of its own."""

    async def get(self, job_id: UUID | str) -> Job[Any]:
        """The job with this id.

        Raises:
            JobNotFound: there is none.
        """
        return self._job(await self._record(_id(job_id)))

    async def list(
        self,
        *,
        state: JobState | str | Iterable[JobState | str] = (),
        task: str | None = None,
        chain: UUID | str | None = None,
        limit: int = 100,
        before: UUID | str | None = None,
    ) -> list[Job[Any]]:
        """Jobs, newest first.

        Args:
            state: only in this state, or in one of these.
            task: only of the task with this name.
            chain: only of the chain that begins with this job.
            limit: at most so many.
            before: the id of the last job of the page before.
        """
        store = await self._opened()
        wanted = Filter(_states(state), task, None if chain is None else _id(chain))
        records = await store.list(wanted, limit=limit, before=None if before is None else _id(before))
        return [self._job(record) for record in records]

    async def count(
        self, *, state: JobState | str | Iterable[JobState | str] = (), task: str | None = None
    ) -> Mapping[JobState, int]:
        """How many jobs there are in each state; every state asked for is there, with 0 if it has none."""
        states = _states(state)
        counted = await (await self._opened()).count(Filter(states, task))
        return {each: counted.get(each, 0) for each in JobState if not states or each in states}

    async def cancel(self, job_id: UUID | str, *, reason: str = "cancelled on request") -> Job[Any]:
        """Cancel a job, and those behind it in its chain.

        A waiting one ends at once. A running `async def` gets `CancelledError`; one that runs in a thread goes on to
        its end, and what comes behind it depends on how it ends.

        In another process a call whose request is just over may still start for a second: it is `staged` when this
        returns, and from its start on it is a running one.

        Raises:
            JobNotFound: there is none with this id.
            IllegalTransition: it has ended already.
        """
        key = _id(job_id)
        state = await (await self._opened()).cancel(key, reason=reason, now=self._clock.now())
        if not state.finished:
            self._changed("cancelled")
        return await self.get(key)

    async def retry(self, job_id: UUID | str) -> Job[Any]:
        """Have a failed or cancelled job run again, and after it the jobs that its failure cancelled.

        Raises:
            JobNotFound: there is none with this id.
            IllegalTransition: it has not ended, has succeeded, or cannot be run again; the message says why.
        """
        key = _id(job_id)
        await (await self._opened()).retry(key, now=self._clock.now())
        self._changed("queued")
        return await self.get(key)

    async def delete(self, job_id: UUID | str) -> None:
        """Remove a job that has ended, with its history.

        Raises:
            JobNotFound: there is none with this id.
            IllegalTransition: it has not ended, or another job of its chain has not.
        """
        await (await self._opened()).delete(_id(job_id))

    async def pause(
        self,
        *,
        queue: str | None = None,
        task: str | Callable[..., Any] | None = None,
        partition: object = None,
        reason: str | None = None,
    ) -> Pause:
        """Start no job of a queue, of a task, or of one partition of a task, until `resume`. What runs goes on.

        In other processes a call whose request is just over may still start for a second; from the queue nothing does.

        Args:
            queue: the name of a queue.
            task: a task, by its function or its name.
            partition: with `task`: what its `partition_by` gives for the jobs meant.
            reason: for people.

        Raises:
            CallError: it does not say what to pause.
        """
        pause = self._pause(queue, task, partition)._replace(reason=reason, since=self._clock.now())
        await (await self._opened()).pause(pause)
        self._changed("paused")
        return pause

    async def resume(
        self,
        *,
        queue: str | None = None,
        task: str | Callable[..., Any] | None = None,
        partition: object = None,
    ) -> bool:
        """Start jobs again of what was paused with these; returns whether it was.

        Raises:
            CallError: it does not say what to resume.
        """
        resumed = await (await self._opened()).resume(self._pause(queue, task, partition))
        self._changed("paused")
        return resumed

    async def pauses(self) -> Sequence[Pause]:
        """What is paused, and since when."""
        return await (await self._opened()).pauses()

    def _pause(self, queue: str | None, task: str | Callable[..., Any] | None, partition: object) -> Pause:
        if (queue is None) == (task is None) or (partition is not None and task is None):
            message = "Expected queue=, or task=, or task= and partition= together."
            raise CallError(message)
        if queue is not None:
            if problems := wrong_queue(queue):
                raise CallError(f"{problems[0]}.")
            return Pause("queue", queue)
        name = self._named(task or "")
        if partition is None:
            return Pause("task", name)
        text = text_of(partition)
        if text is None:
            message = f"partition: expected what the task's partition_by gives, got {partition!r}."
            raise CallError(message)
        return Pause("partition", name, text)

    async def history(self, job_id: UUID | str) -> Sequence[Attempt]:
        """The attempts of a job that did not succeed, oldest first."""
        return await (await self._opened()).attempts(_id(job_id))

    async def logs(self, job_id: UUID | str) -> Sequence[LogLine]:
        """What was logged while a job ran, over all its attempts, oldest first: the last 1,000 lines and 64 KiB."""
        return await (await self._opened()).logs(_id(job_id))

    async def wait(self, job_id: UUID | str, *, timeout: float | None = None) -> Job[Any]:  # noqa: ASYNC109 - part of the public face
        """The job when it has ended, however it has: look at its `state`.

        Args:
            job_id: which.
            timeout: seconds to wait at most; None: for ever.

        Raises:
            WaitInRequest: the job was added by the request that waits, and starts only when that is over.
            WaitTimeout: it had not ended in time.
            JobNotFound: there is none with this id.
        """
        key = _id(job_id)
        if key in self._open_calls():
            raise WaitInRequest(key)
        deadline = None if timeout is None else self._clock.elapsed() + timeout
        waiter = _Waiter(asyncio.get_running_loop())
        with self._waiters_lock:
            self._waiters.setdefault(key, set()).add(waiter)
        try:
            pause, longest = LOOK_AGAIN
            while True:
                waiter.ended.clear()
                record = await self._record(key)
                if record.state.finished:
                    return self._job(record)
                if deadline is not None:
                    left = deadline - self._clock.elapsed()
                    if timeout is not None and left <= 0:
                        raise WaitTimeout(key, timeout, record.state.value)
                    pause = min(pause, left)
                await wait(waiter.ended, pause)
                pause = min(pause * 2, longest)
        finally:
            with self._waiters_lock:
                waiters = self._waiters[key]
                waiters.discard(waiter)
                if not waiters:
                    del self._waiters[key]

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Wake those who wait for one of these jobs; called by the worker of this process."""
        if self._waiters:
            with self._waiters_lock:
                told = [waiter for each in settlements for waiter in self._waiters.get(each.job_id, ())]
            for waiter in told:
                waiter.tell()

    def _job(self, record: Record) -> Job[Any]:
        return Job(record.id, record.task, self, record)

    async def _record(self, job_id: UUID) -> Record:
        found = await (await self._opened()).get([job_id])
        if not found:
            raise JobNotFound(job_id)
        return found[0]


class _Waiter:
    """Somebody who waits for a job, perhaps on another event loop than the one that settles it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ended = asyncio.Event()

    def tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # its loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.ended.set)


def _id(job_id: UUID | str) -> UUID:
    if isinstance(job_id, UUID):
        return job_id
    try:
        return UUID(job_id)
    except (ValueError, AttributeError, TypeError):
        message = f"Expected the id of a job, a UUID such as {new_job_id()}, got {job_id!r}."
        raise UnknownValue(message) from None


def _states(state: JobState | str | Iterable[JobState | str]) -> frozenset[JobState]:
    given = (state,) if isinstance(state, str) else tuple(state)
    for each in given:
        if each not in {*JobState}:
            message = f"Expected one of {', '.join(repr(known.value) for known in JobState)}, got {each!r}."
            raise UnknownValue(message)
    return frozenset(map(JobState, given))
