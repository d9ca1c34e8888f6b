"""What a caller can do with jobs: look at them, wait for them, cancel them, have them run again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack

from postlude.client.bulk import ManyJobs
from postlude.client.handle import Job
from postlude.client.waiting import Waiters
from postlude.client.wanted import Wanted, filter_of, id_of
from postlude.durations import seconds_of
from postlude.errors import (
    CallError,
    JobNotFound,
    StoreError,
    UnknownTask,
    UnknownValue,
    WaitInRequest,
)
from postlude.given import did_you_mean, is_whole
from postlude.job import UNFINISHED, JobState, Record
from postlude.pauses import Pause
from postlude.stores.filter import Filter
from postlude.terms import text_of, wrong_queue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from postlude.clock import Clock
    from postlude.durations import Duration
    from postlude.job import Attempt
    from postlude.loglines import LogLine
    from postlude.registry import Registry
    from postlude.stores.contract import Store
    from postlude.stores.notifying import Change

T = TypeVar("T")

LONGEST_LIST: Final = 100_000
"""Jobs that one list may have: all of them are in memory at once."""


class Jobs(ManyJobs):
    """All jobs of one store.

    Args:
        opened: gives the store, opened in this process.
        clock: what time it is.
        registry: the tasks of this process.
        open_calls: the ids of jobs that the current request has added and that start when it is over.
        relay: takes what callers have committed elsewhere into the store.
        changed: called after a job that may be running here was asked to cancel, after one was queued, and after
            something was paused or resumed.
    """

    def __init__(
        self,
        opened: Callable[[], Awaitable[Store]],
        clock: Clock,
        registry: Registry,
        *,
        open_calls: Callable[[], Collection[UUID]],
        relay: Callable[[], Awaitable[None]],
        changed: Callable[[Change], None],
    ) -> None:
        self._opened = opened
        self._clock = clock
        self._open_calls = open_calls
        self._relay = relay
        self._changed = changed
        self._registry = registry
        self.waiters: Waiters = Waiters(clock)
        """To be told what this process settles."""

    def read_result(self, task: str, text: str) -> Any:  # noqa: ANN401 - a value of the user's type
        """What a job of the task with this name returned, of which this text was stored; see `Registry.read_result`."""
        return self._registry.read_result(task, text)

    async def get(self, job_id: UUID | str) -> Job[Any]:
        """The job with this id.

        Raises:
            JobNotFound: there is none.
        """
        return self._job(await self._record(id_of(job_id)))

    async def list(
        self, *, limit: int = 100, before: UUID | str | None = None, **wanted: Unpack[Wanted]
    ) -> list[Job[Any]]:
        """Jobs, newest first.

        Args:
            limit: at most so many, up to 100,000.
            before: the id of the last job of the page before.
            wanted: which: `state`, `task`, `chain`, `queue`, `key`, `since`, `until`, `ended_since`, `text`; see
                `Wanted`.

        Raises:
            JobNotFound: there is no job with the id `before`, or none any more.
            UnknownValue: one of these is no state, no id, no moment, no text or no number.
        """
        if not is_whole(limit, 0, LONGEST_LIST):
            message = f"limit: expected a whole number from 0 to {LONGEST_LIST:,}, got {limit!r}."
            raise UnknownValue(message)
        meant = self._meant(wanted)
        place = None if before is None else (await self._record(id_of(before))).id
        records = await (await self._opened()).list(meant, limit=limit, before=place)
        return [self._job(record) for record in records]

    async def count(self, **wanted: Unpack[Wanted]) -> Mapping[JobState, int]:
        """How many jobs there are in each state; every state asked for is there, with 0 if it has none.

        Args:
            wanted: which, as in `list`.

        Raises:
            UnknownValue: one of these is no state, no id, no moment or no text.
        """
        meant = self._meant(wanted)
        counted = await (await self._opened()).count(meant)
        return {each: counted.get(each, 0) for each in JobState if not meant.states or each in meant.states}

    def _meant(self, wanted: Wanted) -> Filter:
        return filter_of(wanted, self._registry, self._clock.now())

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
        key = id_of(job_id)
        state = await self._asked(lambda store: store.cancel(key, reason=reason, now=self._clock.now()))
        if not state.finished:
            self._changed("cancelled")
        return await self.get(key)

    async def retry(self, job_id: UUID | str) -> Job[Any]:
        """Have a failed or cancelled job run again, and after it the jobs that its failure cancelled.

        Its attempts go on being counted: one that has used up its retries gets exactly one attempt more.

        Raises:
            JobNotFound: there is none with this id.
            IllegalTransition: it has not ended, has succeeded, or cannot be run again; the message says why.
        """
        key = id_of(job_id)
        await self._asked(lambda store: store.retry(key, now=self._clock.now()))
        self._changed("queued")
        return await self.get(key)

    async def delete(self, job_id: UUID | str) -> None:
        """Remove a job that has ended, with its history.

        Raises:
            JobNotFound: there is none with this id.
            IllegalTransition: it has not ended, or another job of its chain has not.
        """
        key = id_of(job_id)
        await self._asked(lambda store: store.delete(key))

    async def pause(
        self,
        *,
        queue: str | None = None,
        task: str | Callable[..., Any] | None = None,
        partition: object = None,
        everything: bool = False,
        reason: str | None = None,
    ) -> Pause:
        """Start no job of a queue, of a task, of one partition of a task, or at all, until `resume`. What runs goes on.

        In other processes a call whose request is just over may still start for a second; from the queue nothing does.

        Args:
            queue: the name of a queue.
            task: a task, by its function or its name.
            partition: with `task`: what its `partition_by` gives for the jobs meant.
            everything: all jobs, whatever their queue and task; a pause of its own beside those of queues and tasks.
            reason: for people.

        Raises:
            CallError: it does not say what to pause; or that would hold nothing back: neither does this process know
                such a task nor has the store a job of it, or the task has no partitions and no job that has not ended.
        """
        pause = self._pause(queue, task, partition, everything)._replace(reason=reason, since=self._clock.now())
        store = await self._opened()
        if pause.kind in {"task", "partition"}:
            await self._check_known(pause, store)
        await store.pause(pause)
        self._changed("paused")
        return pause

    async def resume(
        self,
        *,
        queue: str | None = None,
        task: str | Callable[..., Any] | None = None,
        partition: object = None,
        everything: bool = False,
    ) -> bool:
        """Start jobs again of what was paused with these; returns whether it was.

        Raises:
            CallError: it does not say what to resume; or nothing of that task was paused, and there is none.
        """
        pause = self._pause(queue, task, partition, everything)
        store = await self._opened()
        resumed = await store.resume(pause)
        if not resumed and pause.kind in {"task", "partition"}:
            await self._check_known(pause, store)
        self._changed("paused")
        return resumed

    async def pauses(self) -> Sequence[Pause]:
        """What is paused, and since when."""
        return await (await self._opened()).pauses()

    def _pause(
        self,
        queue: str | None,
        task: str | Callable[..., Any] | None,
        partition: object,
        everything: bool,  # noqa: FBT001 - as it was given
    ) -> Pause:
        if (queue is not None) + (task is not None) + everything != 1 or (partition is not None and task is None):
            message = "Expected queue=, or task=, or task= and partition= together, or everything=True."
            raise CallError(message)
        if everything:
            return Pause("all", "")
        if queue is not None:
            if problems := wrong_queue(queue):
                raise CallError(f"{problems[0]}.")
            return Pause("queue", queue)
        name = self._registry.name_of(task or "")
        if partition is None:
            return Pause("task", name)
        text = text_of(partition)
        if text is None:
            message = f"partition: expected what the task's partition_by gives, got {partition!r}."
            raise CallError(message)
        return Pause("partition", name, text)

    async def _check_known(self, pause: Pause, store: Store) -> None:
        """Refuse a misspelt name, and a partition of a task that has none, which would hold nothing back."""
        name = pause.name
        try:
            definition = self._registry.find(name)
        except UnknownTask as unknown:
            if await store.count(Filter(task=name)):
                return  # a task of other programs
            hint = unknown.hint or did_you_mean(name, {*self._registry.names(), *await store.waiting_tasks()})
            message = (
                f"task={name!r}: it is not known here, since {unknown.reason}, and no job of it is in the store.{hint} "
                f"If only other programs have it, declare it here with @task(name={name!r}, remote=True)."
            )
            raise CallError(message) from None
        if pause.kind != "partition" or definition.remote or definition.terms.partition_by is not None:
            return
        # A stub does not say, and what waits may have a partition of the time before a deploy.
        if not await store.count(Filter(UNFINISHED, name)):
            message = (
                f"partition={pause.partition!r}: {name} has no partitions. Declare them with @task(partition_by=...), "
                "or leave partition out to pause the whole task."
            )
            raise CallError(message)

    async def history(self, job_id: UUID | str) -> Sequence[Attempt]:
        """The attempts of a job that did not succeed, oldest first.

        Raises:
            JobNotFound: there is none with this id.
        """
        record = await self._record(id_of(job_id))
        return await (await self._opened()).attempts(record.id)

    async def logs(self, job_id: UUID | str) -> Sequence[LogLine]:
        """What was logged while a job ran, over all its attempts, oldest first: the last 1,000 lines and 64 KiB.

        Raises:
            JobNotFound: there is none with this id.
        """
        record = await self._record(id_of(job_id))
        return await (await self._opened()).logs(record.id)

    async def wait(self, job_id: UUID | str, *, timeout: Duration | None = None) -> Job[Any]:  # noqa: ASYNC109 - part of the public face
        """The job when it has ended, however it has: look at its `state`.

        Args:
            job_id: which.
            timeout: seconds, or a `timedelta`, to wait at most; None: for ever.

        Raises:
            WaitInRequest: the job was added by the request that waits, and starts only when that is over.
            WaitTimeout: it had not ended in time.
            JobNotFound: there is none with this id.
            UnknownValue: the timeout is no duration.
        """
        key, seconds = id_of(job_id), _timeout(timeout)
        if key in self._open_calls():
            raise WaitInRequest(key)
        return self._job(await self.waiters.wait(key, lambda: self._record(key), seconds))

    def _job(self, record: Record) -> Job[Any]:
        return Job(record.id, record.task, self, record)

    async def _record(self, job_id: UUID) -> Record:
        async def read(store: Store) -> Record:
            found = await store.get([job_id])
            if not found:
                raise JobNotFound(job_id)
            return found[0]

        return await self._asked(read)

    async def _asked(self, ask: Callable[[Store], Awaitable[T]]) -> T:
        """What the store says of a job, asked again if it does not have it: it may have been committed elsewhere."""
        store = await self._opened()
        with contextlib.suppress(JobNotFound):
            return await ask(store)
        # What keeps another job from being moved is said by whoever moves them, and is no answer about this one.
        with contextlib.suppress(StoreError):
            await self._relay()
        return await ask(store)


def _timeout(timeout: Duration | None) -> float | None:
    seconds = None if timeout is None else seconds_of(timeout)
    if timeout is not None and seconds is None:
        message = f"timeout: expected seconds, 0 or more, a timedelta, or None to wait for ever, got {timeout!r}."
        raise UnknownValue(message)
    return seconds
