"""The engine of one application: what the hooks, the client and the command line ask things of."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from postlude import telemetry
from postlude.calls import Call, CallOptions
from postlude.client import Job, Jobs
from postlude.clock import wait
from postlude.errors import StoreUnavailable
from postlude.events import CallsDiscarded, CallsUnsaved, Events, StoreFailed
from postlude.execution import release
from postlude.job import JobState
from postlude.process import Process
from postlude.registry import import_tasks
from postlude.signals import SignalWatch
from postlude.staging import Staging
from postlude.stores import open_store
from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from uuid import UUID

    from postlude.calls import Chain
    from postlude.clock import Clock
    from postlude.job import NewJob
    from postlude.registry import Registry
    from postlude.settings import Settings
    from postlude.stores.contract import Store

WITHDRAW_EVERY = 0.5
"""Seconds between two tries to remove jobs whose commit was not confirmed."""


class Coverage(Protocol):
    """Which routes of the application the hooks reach."""

    @property
    def covered(self) -> int:
        """How many do."""
        ...

    @property
    def gaps(self) -> Sequence[str]:
        """A line for each that does not."""
        ...


class Runtime:
    """Prepares, commits and runs calls for one application.

    Args:
        settings: of the application.
        registry: its tasks.
        clock: what time it is.
        open_calls: the ids of the jobs that the current request has added.
    """

    def __init__(
        self, settings: Settings, registry: Registry, clock: Clock, open_calls: Callable[[], Collection[UUID]]
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.events: Events = Events()
        self.events.subscribe(telemetry.log)
        if not settings.disabled:
            open_store(settings.url)  # which opens nothing yet, and refuses a URL that names no store
        self._clock = clock
        self._staging = Staging(registry, clock, self.events, strict=settings.strict)
        self.jobs: Jobs = Jobs(
            self.store,
            clock,
            open_calls=open_calls,
            cancelled=lambda: self._tell(Process.look_for_cancellations),
            queued=lambda: self._tell(Process.wake),
        )
        self._process: Process | None = None
        self._opening: tuple[int, Future[Process]] | None = None
        self._opening_lock = threading.Lock()
        self._signals = SignalWatch(self._signalled)
        self._stop_by: float | None = None
        self._applications = 0
        """How many have started and not stopped."""
        self._unconfirmed: list[NewJob] = []
        self._background: set[asyncio.Task[None]] = set()

    # Opening

    async def store(self) -> Store:
        """The store, opened in this process."""
        return (await self._opened()).store

    async def _opened(self) -> Process:
        process = self._here()
        if process is not None:
            return process
        with self._opening_lock:
            process = self._here()  # it may have been opened since
            if process is not None:
                return process
            opening = self._opening
            if opening is None or opening[0] != os.getpid():
                opening = self._opening = (os.getpid(), Future())
                self._in_background(self._open_for(opening[1]))
        # Shielded: others wait for the same, and a client that disconnects must not end it for them.
        return await asyncio.shield(asyncio.wrap_future(opening[1]))

    def _here(self) -> Process | None:
        process = self._process
        return process if process is not None and process.pid == os.getpid() else None

    async def _open_for(self, opened: Future[Process]) -> None:
        try:
            process = await self._open()
        except BaseException as error:  # noqa: BLE001 - raised where somebody waits for it
            self._opening = None
            opened.set_exception(error)
        else:
            self._process = process
            self._opening = None
            opened.set_result(process)

    async def _open(self) -> Process:
        import_tasks(self.settings.tasks)
        store = open_store(self.settings.url)
        description = await store.open()
        return Process(
            store=store,
            description=description,
            owner=await store.enlist(),
            settings=self.settings,
            registry=self.registry,
            clock=self._clock,
            events=self.events,
            settled=self.jobs.settled,
        )

    # From the application's start to its end

    async def started(self, coverage: Coverage) -> None:
        """The application has started: open the store, take up what was left, and say so.

        Several applications may share this, and each starts and stops: the first start and the last stop count.
        """
        telemetry.make_heard()
        process = await self._opened()
        if self._applications:
            self._applications += 1
            telemetry.announce(f"routes: {coverage.covered} more with durable background tasks")
            return
        rescued = await process.start() if self.settings.worker == "embedded" else 0
        self._applications = 1
        self._signals.start()
        waiting = (await process.store.count(Filter(frozenset({JobState.QUEUED})))).get(JobState.QUEUED, 0)
        description = process.description
        slots = self.settings.concurrency
        milliseconds = description.sync_seconds * 1000
        embedded = f"embedded, {slots.loop} on the loop and {slots.threads} in threads"
        jobs = f"{waiting} job{'' if waiting == 1 else 's'} waiting, {rescued} left by a process that is gone"
        for line in (
            f"store: {description.location}, where a write takes {milliseconds:.2f} ms to reach the disk",
            f"worker: {embedded if self.settings.worker == 'embedded' else 'off, jobs are only stored here'}",
            f"routes: {coverage.covered} with durable background tasks",
            f"queue: {jobs}",
        ):
            telemetry.announce(line)
        for warning in (*description.warnings, *(f"not covered: {gap}" for gap in coverage.gaps)):
            telemetry.warn(warning)

    def _signalled(self) -> None:
        """The process is told to end, and its server now waits for the open responses."""
        process = self._process
        if process is not None and process.loop is not None:
            if self._stop_by is None:
                self._stop_by = self._clock.elapsed() + self.settings.shutdown_grace
            process.loop.call_soon_threadsafe(process.begin_stop, self.settings.shutdown_grace)

    async def stopped(self) -> None:
        """The application ends: give running tasks what is left of the grace, and hand the rest to others."""
        self._applications -= 1
        if not self._applications:
            await self.close()

    async def close(self) -> None:
        """End everything in this process. Idempotent; what is used afterwards is opened anew."""
        self._applications = 0
        self._signals.stop()
        grace = self.settings.shutdown_grace
        if self._stop_by is not None:
            grace = max(0.0, self._stop_by - self._clock.elapsed())
        process, self._process, self._stop_by = self._process, None, None
        if process is None:
            return
        if process.loop is None:
            await process.close()
            return
        left = await process.stop(grace)
        if left:
            telemetry.warn(
                f"still running in threads, which cannot be stopped: {', '.join(left)}; "
                "they run again when this process has ended"
            )

    # Calls of a request

    def prepare(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """See `Staging.prepare`."""
        return self._staging.prepare(function, args, kwargs, options)

    def handle(self, call: Call) -> Job[Any]:
        """What `add_task` returns."""
        return Job(call.id, call.definition.name, self.jobs)

    async def commit(self, chain: Chain, calls: Sequence[Call]) -> None:
        """Commit the calls of a request together; afterwards each that is stored has its claim.

        Raises:
            StoreUnavailable: the commit is not known to have succeeded, and `on_store_error` is `"refuse"`. The rows
                will be removed as soon as the store answers.
        """
        process = await self._opened()
        jobs = self._staging.stage(chain, [call for call in calls if call.claim is None], process.owner)
        if chain.unconfirmed:
            # The first time was cut off, and its write may still arrive: what has this order cannot be doubled.
            jobs = [*chain.unconfirmed, *jobs]
            await self._insert(process, chain, jobs, calls, after=process.store.withdraw(chain.unconfirmed))
        elif jobs:
            await self._insert(process, chain, jobs, calls)

    async def _insert(
        self,
        process: Process,
        chain: Chain,
        jobs: list[NewJob],
        calls: Sequence[Call],
        after: Awaitable[None] | None = None,
    ) -> None:
        chain.unconfirmed = jobs
        try:
            if after is not None:
                await after
            await process.store.insert(jobs)
        except StoreUnavailable as error:
            # Nothing of the request is on disk any more that a later call could come after.
            chain.unconfirmed, chain.first, chain.last = (), None, None
            for call in calls:
                call.claim = None
            self._withdraw_soon(jobs)
            if self.settings.on_store_error == "refuse":
                self.events.emit(StoreFailed("committing the tasks of a request", str(error)))
                raise
            self.unsaved(calls, error)
        else:
            chain.unconfirmed = ()

    def unsaved(self, calls: Sequence[Call], error: Exception) -> None:
        """Say that these calls run without having been stored."""
        self.events.emit(CallsUnsaved(_names(calls), str(error)))

    def discard(self, calls: Sequence[Call], reason: BaseException | None) -> None:
        """Say that these calls of a request will not run."""
        why = "the request did not raise" if reason is None else f"the request raised {reason!r}"
        self.events.emit(CallsDiscarded(_names(calls), why))

    async def run(self, calls: Sequence[Call]) -> None:
        """The request is over: run its calls. Returns at once if a worker runs on this loop, else when they ended."""
        process = await self._opened()
        if not process.running_here:
            await self._shielded(self._run_to_end(process, calls))
        elif len(calls) == 1:
            process.attempts.begin(calls[0])
        else:
            self._in_background(self._run_to_end(process, calls))

    async def run_here(self, calls: Sequence[Call]) -> None:
        """Run calls, and return when they have ended; they go on if the caller is cancelled."""
        await self._shielded(self._run_to_end(await self._opened(), calls))

    async def _run_to_end(self, process: Process, calls: Sequence[Call]) -> None:
        attempts, settling = process.runners()
        if self.settings.worker == "off" and not any(call.ephemeral for call in calls):
            for call in calls:
                if call.claim is not None:
                    settling.put(release(call.claim, self._clock.now()))
            await settling.flush()
            return
        ordered = [call for call in calls if call.options.ordered]
        await asyncio.gather(
            attempts.run_in_order(ordered), *(attempts.run(call) for call in calls if not call.options.ordered)
        )

    async def _shielded(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        await asyncio.shield(self._in_background(work))

    def _in_background(self, work: Any) -> asyncio.Task[None]:  # noqa: ANN401 - a coroutine
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _withdraw_soon(self, jobs: list[NewJob]) -> None:
        begin = not self._unconfirmed
        self._unconfirmed += jobs
        if begin:
            self._in_background(self._withdraw())

    async def _withdraw(self) -> None:
        """Remove what was refused to the client, as soon as the store answers again."""
        never = asyncio.Event()
        while self._unconfirmed:
            jobs = list(self._unconfirmed)
            try:
                await (await self._opened()).store.withdraw(jobs)
            except StoreUnavailable:
                await wait(never, WITHDRAW_EVERY)
            else:
                del self._unconfirmed[: len(jobs)]

    # Calls outside a request

    async def enqueue(
        self, calls: Sequence[tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]]
    ) -> list[Job[Any]]:
        """Commit calls that belong to no request, all together; any worker may run them from now on.

        Raises:
            CallError: a call could never have run.
            NotStorable: a call cannot be stored.
            ArgumentsTooLarge: its arguments do not fit into a job.
            StoreUnavailable: the commit is not known to have succeeded: the jobs may run or not.
        """
        prepared = [self._staging.prepare_stored(*call, CallOptions()) for call in calls]
        process = await self._opened()
        await process.store.insert(self._staging.queue(prepared))
        process.wake()
        return [Job(call.id, call.definition.name, self.jobs, added=JobState.QUEUED) for call in prepared]

    def _tell(self, what: Callable[[Process], None]) -> None:
        if self._process is not None:
            what(self._process)


def _names(calls: Sequence[Call]) -> tuple[str, ...]:
    return tuple(call.definition.name for call in calls)
