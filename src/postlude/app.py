"""The facade: one object that makes an application's background tasks durable."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

import postlude.fastapi as hooks
from postlude.background import open_call_ids
from postlude.calls import NO_OPTIONS
from postlude.client.blocking import Portal
from postlude.clock import SystemClock
from postlude.enqueuing import Blocking, Enqueuing
from postlude.executors.registered import Executors
from postlude.registry import Registry
from postlude.runtime import Runtime
from postlude.settings import read_settings
from postlude.sinks import Sinks
from postlude.source import source_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import ContextVar
    from datetime import timedelta

    from fastapi import APIRouter, FastAPI
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from postlude.client.jobs import Jobs
    from postlude.client.timetable import Schedules
    from postlude.dashboard.application import Dashboard
    from postlude.dependencies import Overrides
    from postlude.durations import Duration
    from postlude.policy import WhenInterrupted
    from postlude.retention import Retention
    from postlude.running.elsewhere import Place
    from postlude.services.streams import Hub
    from postlude.settings import Concurrency, Migrate, Mode, OnStoreError, Password, Settings, WorkerMode
    from postlude.sinks import Subscriber
    from postlude.stock.watching import Observer
    from postlude.telemetry.prometheus import Metrics


class Postlude(Enqueuing):
    """Makes every `BackgroundTasks.add_task` of an application survive the death of its process.

    Each option can also be set as `POSTLUDE_<NAME>` in the environment; an argument wins. `POSTLUDE_DISABLED=1` leaves
    FastAPI as it is.

    Args:
        app: the application, before it has any routes; None to call `install` later.
        url: where jobs are kept: `sqlite:///relative.db`, `sqlite:////absolute.db`, or
            `postgresql://user@host/database` as SQLAlchemy writes it too. Default: `.postlude/jobs.db` in the working
            directory.
        direct_url: where PostgreSQL is reached without a pooler such as PgBouncer in transaction mode, if `url` leads
            through one: for the one connection of each process that has to keep its session.
        namespace: which of several applications this is that share a PostgreSQL database. Default: `"default"`.
        schema: the schema of the PostgreSQL database that the tables are in. Default: `"postlude"`.
        password: that of PostgreSQL, in place of one in the URL; or a function, `async` or not, that is asked for it at
            each new connection, in a thread of Postlude's own.
        migrate: `"auto"` (default) makes the PostgreSQL schema and brings it up to date when the store is opened;
            `"never"` leaves that to `postlude migrate`.
        mode: `"durable"` (default); `"observe"` leaves background tasks to FastAPI, exactly as they are, and only
            records what becomes of them, for `postlude audit`.
        worker: `"embedded"` runs jobs in the server's process; `"process"` in a child process of it, which imports the
            application anew and is started again if it ends; `"off"` only stores them, for others to run.
        tasks: modules to import at start, so that the tasks and schedules they declare are known.
        allow: functions outside the application's own source that may be stored, such as `"os:remove"`.
        carry: context variables, or where they are as `"module:name"`, whose values tasks find as they were at
            `add_task`. Values are text, numbers, True, False, None, and lists and dicts of those.
        concurrency: how many attempts may run at once; a number is that of `async def` tasks. Default: 100 on the loop
            and 16 in threads, and in child processes as many as there are processors.
        strict: refuse calls that cannot be stored with a `TypeError`, instead of running them unsaved.
        ordered: whether each task of a request waits for the success of the one before it. Default: True.
        interrupted: what becomes of a job whose process died while it ran: `"rerun"` (default), or `"hold"` it for a
            person.
        on_store_error: when a commit fails: `"refuse"` with 503 (default), or `"run_unsaved"`.
        retention: how long jobs are kept after their end: seconds, a `timedelta`, or `Retention(succeeded=, failed=,
            cancelled=)`. Default: a day after success, else 30 days.
        mask: more names of arguments and of fields, such as `"customer_number"`, whose values are shown nowhere; beside
            password, token, secret, authorization, api_key, card and the like.
        dashboard: the path at which the dashboard is mounted, such as `"/postlude"`; see `dashboard()`. Default: none.
        shutdown_grace: seconds (or a `timedelta`) that running tasks have when the process is told to end. Default: 8,
            and 0 under `--reload`.

    Raises:
        SettingsError: options that make no sense, all named at once.
        InstallError: the application already has routes, or was given to Postlude before.
    """

    def __init__(  # noqa: PLR0913 - the options of the application
        self,
        app: FastAPI | None = None,
        url: str | None = None,
        *,
        direct_url: str | None = None,
        namespace: str | None = None,
        schema: str | None = None,
        password: Password | None = None,
        migrate: Migrate | None = None,
        mode: Mode | None = None,
        worker: WorkerMode | None = None,
        tasks: Iterable[str] | None = None,
        allow: Iterable[str] | None = None,
        carry: Iterable[ContextVar[Any] | str] | None = None,
        concurrency: Concurrency | int | None = None,
        strict: bool | None = None,
        ordered: bool | None = None,
        interrupted: WhenInterrupted | None = None,
        on_store_error: OnStoreError | None = None,
        retention: Duration | Retention | None = None,
        mask: Iterable[str] | None = None,
        dashboard: str | None = None,
        shutdown_grace: float | timedelta | None = None,
    ) -> None:
        self.settings: Settings = read_settings(
            {
                "url": url,
                "direct_url": direct_url,
                "namespace": namespace,
                "schema": schema,
                "password": password,
                "migrate": migrate,
                "mode": mode,
                "worker": worker,
                "tasks": tasks,
                "allow": allow,
                "carry": carry,
                "concurrency": concurrency,
                "strict": strict,
                "ordered": ordered,
                "interrupted": interrupted,
                "on_store_error": on_store_error,
                "retention": retention,
                "mask": mask,
                "dashboard": dashboard,
                "shutdown_grace": shutdown_grace,
            }
        )
        caller = sys._getframe(1).f_globals  # noqa: SLF001 - the application's own module
        root = source_root(caller.get("__file__"), caller.get("__name__", "__main__"))
        self.executors: Executors = Executors()
        """What tasks may name as their executor; `register` adds to it."""
        self._registry = Registry(
            root, allow=self.settings.allow, interrupted=self.settings.interrupted, executors=self.executors
        )
        self._applications: list[FastAPI] = []
        clock = SystemClock()
        self._clock = clock
        self._module = caller.get("__name__", "__main__")
        place = self._place
        runtime = Runtime(self.settings, self._registry, clock, open_call_ids, self._dependency_overrides, place)
        super().__init__(runtime, NO_OPTIONS)
        self._portal = Portal()
        self._sinks = Sinks(runtime, self._portal)
        if app is not None:
            self.install(app)

    def dashboard(self, *, authorize: Callable[..., Any] | None = None) -> Dashboard:
        """Pages to see and steer jobs with, to be mounted: `app.mount("/postlude", durable.dashboard())`.

        Args:
            authorize: a dependency of the application, which says who looks: `"view"` for who may look, `"act"` for who
                may also retry, cancel, delete, pause and run, `postlude.dashboard.Visitor(name, role)` to have a
                name in the audit log, None for who may not look. None: who has a link signs in with it; where the
                server was started in a terminal it prints one, elsewhere `postlude dashboard-link` makes one.

        Raises:
            CallError: what the dashboard needs is not installed, or `authorize` is no function.
        """
        from postlude.dashboard import make  # noqa: PLC0415 - who has none need not pay for it

        return make(self._runtime, self._hub, authorize)

    @property
    def jobs(self) -> Jobs:
        """Look at jobs, wait for them, cancel them, have them run again."""
        return self._runtime.jobs

    @property
    def schedules(self) -> Schedules:
        """Look at schedules."""
        return self._runtime.schedules

    @property
    def blocking(self) -> Blocking:
        """The same for code that cannot await. Not for a thread that runs an event loop: it would stand still."""
        return Blocking(self._runtime, self._portal)

    def on_event(self, subscriber: Subscriber) -> Subscriber:
        """Have a function told of everything that happens in this process: each event of `postlude.events`.

        It is called with the event, in whichever thread that comes about in, before whoever caused it goes on: hand
        over what takes long. What it raises is counted and printed, and harms nobody. For each attempt that ends there
        is an `AttemptEnded`, which nobody makes where no subscriber is.

        Args:
            subscriber: a `def` function; it is returned, so that this can stand above it as a decorator.

        Raises:
            CallError: it is no function, or an `async def`, which nobody would await.
        """
        return self._sinks.subscribe(subscriber)

    def metrics(self) -> Metrics:
        """What Prometheus scrapes, to be mounted: `app.mount("/metrics", durable.metrics())`.

        Each answer is about the whole store, with all the processes that use it: whichever of them is asked, it says
        the same. It is read when it is asked for, and no job pays for it.

        Raises:
            InstallError: the client of Prometheus is not installed; `pip install 'postlude[telemetry]'`.
        """
        return self._sinks.metrics()

    def instrument(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        """Make OpenTelemetry spans, by the semantic conventions for messaging, and metrics.

        There is a span of kind producer where a call is added, and for each attempt one of kind consumer, linked to
        that. A task finds its own as the current span. The metrics count what this process does.

        Args:
            tracer_provider: where spans go. Default: the global one, also if it is set later.
            meter_provider: where metrics go. Default: the global one, also if it is set later.

        Raises:
            InstallError: OpenTelemetry is not installed; `pip install 'postlude[telemetry]'`.
            CallError: it was called before.
        """
        self._sinks.instrument(tracer_provider, meter_provider)

    def install(self, app: FastAPI) -> None:
        """Make the background tasks of an application, or of a mounted sub-application, durable; or observe them.

        Raises:
            InstallError: the application already has routes, or was given to Postlude before.
        """
        if self.settings.disabled:
            hooks.install_disabled(app, self.jobs)
        elif self.settings.mode == "observe":
            self._observer.install(app)
        else:
            hooks.install(app, self._runtime)
            if self.settings.dashboard is not None and not self._applications:
                app.mount(self.settings.dashboard, self.dashboard())
            self._applications.append(app)

    @cached_property
    def _observer(self) -> Observer:
        from postlude.stock.watching import Observer  # noqa: PLC0415 - nobody pays for what nobody uses

        runtime = self._runtime
        return Observer(self.settings.url, runtime.registry, runtime.clock, runtime.jobs)

    @cached_property
    def _hub(self) -> Hub:
        from postlude.services.streams import Hub  # noqa: PLC0415 - as above

        runtime = self._runtime
        hub = Hub(runtime.store, runtime.jobs.waiters, runtime.clock, runtime.events, lambda: runtime.grace.told)
        runtime.grace.on_told = hub.end
        return hub

    def _dependency_overrides(self) -> Overrides:
        """Those of every application that this is installed in: which of them a job came from is not asked."""
        found: dict[Any, Any] = {}
        for app in self._applications:
            found |= app.dependency_overrides
        return found

    def _place(self) -> Place:
        """Where a child process finds the application: the first, whose lifespan begins first."""
        from postlude.running.elsewhere import nowhere, place_in  # noqa: PLC0415 - only a supervisor asks

        return place_in(self._applications[0], self._module) if self._applications else nowhere()

    def router(self, *, authorize: Callable[..., Any] | None = None) -> APIRouter:
        """Routes under which callers ask after their jobs, for `app.include_router`.

        `GET /jobs/{job_id}`, `GET /jobs/{job_id}/events` (server-sent events), `GET /jobs/{job_id}/result`,
        `POST /jobs/{job_id}/cancel` and `POST /jobs/{job_id}/retry`; `accepted(job)` sends callers there.

        Args:
            authorize: a dependency that says whose a job is: it gets the job by a parameter that is annotated with
                `postlude.api.RequestedJob`, and whatever else it depends on. It returns True for whoever may see and
                change the job, `"view"` for who may only see it, `postlude.api.Visitor(name, role)` to have a name in
                the audit log, and False for anybody else, who gets 404; or it raises. None: whoever has the id of a
                job, which cannot be guessed, learns its state and progress, and nothing else.

        Raises:
            CallError: FastAPI cannot call it as a dependency.
        """
        from postlude.api.routes import Sources, make_router  # noqa: PLC0415 - only who wants them pays for the models

        runtime = self._runtime
        sources = Sources(self.jobs, self._hub, runtime.views.known, self._clock, runtime.store)
        return make_router(sources, authorize)

    async def close(self) -> None:
        """Let go of the store, where no lifespan does: in scripts, and tests without a running application."""
        await self._runtime.close()
