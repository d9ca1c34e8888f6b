"""The engine of one application: what the hooks, the client and the command line ask things of."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from postlude import telemetry
from postlude.adding import Adding
from postlude.client.handle import Job
from postlude.client.jobs import Jobs
from postlude.job import JobState
from postlude.lifetime.grace import Grace
from postlude.lifetime.opening import Opening
from postlude.loops import in_background
from postlude.promising import Promises
from postlude.staging import Staging
from postlude.statistics import Tallies, tallies_of
from postlude.stores import store_of
from postlude.telling import Events

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
    from uuid import UUID

    from postlude.bound import Bound
    from postlude.calls import Call, CallOptions, Chain
    from postlude.client.timetable import Schedules
    from postlude.clock import FollowingClock
    from postlude.dependencies import Overrides
    from postlude.duty import Duty
    from postlude.lifetime.introduction import Coverage
    from postlude.lifetime.process import Process
    from postlude.lifetime.starting import Parts
    from postlude.registry import Registry
    from postlude.running.elsewhere import Place
    from postlude.settings import Settings
    from postlude.stores.contract import Store
    from postlude.stores.notifying import Change
    from postlude.telling import About
    from postlude.views import Views


T = TypeVar("T")


class Runtime:
    """Prepares, commits and runs calls for one application.

    Args:
        settings: of the application.
        registry: its tasks.
        clock: what time it is; set from the store.
        dependency_overrides: those of the applications that it is installed in, as they are at that moment.
        open_calls: the ids of the jobs that the current request has added.
        place: gives where another process finds the application; None: it cannot.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        clock: FollowingClock,
        open_calls: Callable[[], Collection[UUID]],
        dependency_overrides: Callable[[], Overrides] = dict,
        place: Callable[[], Place] | None = None,
    ) -> None:
        self.settings: Settings = settings
        self.registry = registry
        self.events: Events = Events(self._mask)
        self.events.subscribe(telemetry.log)
        if not settings.disabled:
            store_of(settings)  # which opens nothing yet, and refuses a URL that names no store
        self.clock = clock
        self.tallies: Tallies = tallies_of(self.events, clock)
        """Where it is counted what becomes of jobs and calls."""
        self.dependency_overrides: Callable[[], Overrides] = dependency_overrides
        self._staging = Staging(registry, clock, self.events, strict=settings.strict, carry=settings.carry)
        self.jobs: Jobs = Jobs(
            self.store, clock, registry, open_calls=open_calls, relay=self._look_into_outboxes, changed=self._tell
        )
        self.opening: Opening = Opening(self._open_process)
        """What is open in this process."""
        self._promises = Promises(lambda: self.settings, self._staging, self.opening, self.events)
        self.adding: Adding = Adding(self._staging, self.opening, self.jobs, self.discard)
        """For calls that belong to no request."""
        self._place = place
        self.duty: Duty | None = None
        """What a worker was told that has this process to itself; None: it serves requests."""
        self.grace: Grace = Grace(self.opening, clock, lambda: self.settings.shutdown_grace)
        self.applications: int = 0
        """How many have started and not stopped."""

    @cached_property
    def schedules(self) -> Schedules:
        """What people see of the schedules."""
        from postlude.client.timetable import Schedules  # noqa: PLC0415 - few look at them

        return Schedules(self.store, self.registry, self.clock, self.jobs, lambda: self._tell("queued"))

    @cached_property
    def views(self) -> Views:
        """What is shown of it."""
        from postlude.masking import Masking  # noqa: PLC0415 - only who shows anything pays for it, and for the views
        from postlude.views import Views  # noqa: PLC0415

        return Views(self.store, self.registry, self.clock, Masking(self.settings.mask), self.schedules)

    def _mask(self, task: str, about: About) -> Callable[[str], str]:
        """What masks a text of a job: see `telling.Mask`."""
        known = self.views.known
        if about is None or isinstance(about, str):
            return known.shown(task, about).text
        return known.shown_of(about.definition, about.readable).text

    # Opening

    async def store(self) -> Store:
        """The store, opened in this process."""
        return (await self.opening.process()).store

    async def _open_process(self) -> Process:
        from postlude.lifetime import starting  # noqa: PLC0415 - see there

        return await starting.open_process(self._parts())

    def _parts(self) -> Parts:
        from postlude.lifetime.starting import Parts  # noqa: PLC0415 - see there

        return Parts(
            self.settings,
            self.duty,
            self.registry,
            self.clock,
            self.events,
            self.tallies,
            self._staging,
            self.jobs,
            self.dependency_overrides,
        )

    # From the application's start to its end

    async def started(self, coverage: Coverage) -> None:
        """The application has started: open the store, take up what was left, and say so.

        Several applications may share this, and each starts and stops: the first start and the last stop count.
        """
        from postlude.lifetime import starting  # noqa: PLC0415 - see there

        process = await starting.opened(self.opening)
        if self.applications:
            self.applications += 1
            await starting.say_another(process, coverage)
            return
        try:
            rescued = await process.start() if self.runs_jobs else 0
            process.recording.start()
            self.applications = 1
            self.grace.listen()
            await starting.say(self._parts(), process, coverage, rescued)
            if self.duty is None and self.settings.worker == "process":
                self.grace.supervisor = starting.supervisor(self._parts(), self._place)
                self.grace.supervisor.start()
        except BaseException:
            await self.close()  # the server gives up, and nobody would call `stopped`
            raise

    @property
    def runs_jobs(self) -> bool:
        """Whether this process does, and does not only add them."""
        return self.duty is not None or self.settings.worker == "embedded"

    @property
    def _left_to_others(self) -> bool:
        """Whether a request's calls are. Where no lifespan runs there is no child, and the request runs its own."""
        return self.duty is None and (self.settings.worker == "off" or self.grace.supervisor is not None)

    def take(self, duty: Duty, **options: Any) -> None:
        """Do nothing but run jobs in this process, whatever `worker` says of a server; before it starts.

        Args:
            duty: what there is to do.
            options: settings, in the place of the application's.
        """
        self.duty = duty
        self.settings = replace(self.settings, **options)

    async def stopped(self) -> None:
        """The application ends: give running tasks what is left of the grace, and hand the rest to others."""
        if self.applications:  # else it was closed in the meantime
            self.applications -= 1
        if not self.applications:
            await self.close()

    async def close(self) -> None:
        """End everything in this process. Idempotent; what is used afterwards is opened anew. From any loop."""
        process = self.opening.here
        loop = None if process is None else process.loop
        if loop is not None and loop is not asyncio.get_running_loop() and loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.close(), loop))
            return
        self.applications = 0
        left = self.grace.take()
        if process is not None and self.opening.take(process):
            await self.grace.stop(process, left)

    # Calls of a request

    def prepare(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """See `Staging.prepare`."""
        return self._staging.prepare(function, args, kwargs, options)

    def prepare_stored(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        """See `Staging.prepare_stored`."""
        return self._staging.prepare_stored(function, args, kwargs, options)

    async def bind(self, session: object, origin: str) -> Bound:
        """See `Desk.bind`."""
        return await self.adding.bind(session, origin)

    def handle(self, call: Call, added: JobState = JobState.STAGED) -> Job[Any]:
        """What `add_task` returns."""
        return Job(call.id, call.definition.name, self.jobs, added=added)

    def commit(self, chain: Chain, calls: Sequence[Call]) -> Coroutine[Any, Any, None]:
        """See `Promises.commit`."""
        return self._promises.commit(chain, calls)

    def unsaved(self, calls: Sequence[Call], error: Exception) -> None:
        """See `Promises.unsaved`."""
        self._promises.unsaved(calls, error)

    def discard(self, calls: Sequence[Call], reason: BaseException | None) -> None:
        """See `Promises.discard`."""
        self._promises.discard(calls, reason)

    async def run(self, calls: Sequence[Call]) -> None:
        """The request is over: run its calls. Returns at once if a worker runs on this loop, else when they ended."""
        process = self.opening.on_this_loop
        if process is None:
            await self.run_here(calls)
        elif len(calls) == 1:
            process.attempts.begin(calls[0])
        else:
            in_background(self._run_to_end(process, calls))

    async def run_here(self, calls: Sequence[Call]) -> bool:
        """Run calls, and return when they have ended; they go on if the caller is cancelled.

        Returns:
            Whether those that run in order all succeeded: else what comes behind them must not run.
        """
        process = self.opening.here
        if process is None and all(call.claim is None for call in calls):
            return await self._shielded(self._run_unstored(calls))
        return await self._shielded(self._run_to_end(process or await self.opening.process(), calls))

    async def _run_unstored(self, calls: Sequence[Call]) -> bool:
        from postlude.lifetime import starting  # noqa: PLC0415 - see there

        return await starting.run_unstored(self._parts(), calls)

    async def _run_to_end(self, process: Process, calls: Sequence[Call]) -> bool:
        if self._left_to_others and all(_is_stored(call) for call in calls):
            await process.leave(calls)
            return True
        return await process.run(calls)

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.shield(in_background(work))

    async def _look_into_outboxes(self) -> None:
        await (await self.opening.process()).relay.look()

    def _tell(self, change: Change) -> None:
        process = self.opening.here
        if process is not None:
            process.tell(change)


def _is_stored(call: Call) -> bool:
    """Whether any process can run it: by itself, or as the job that answers in its place."""
    return not call.ephemeral and (call.claim is not None or call.answered is not None)
