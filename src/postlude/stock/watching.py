"""What is added to an application that is observed: FastAPI's own tasks, which say when they begin and end."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import fastapi
from fastapi import Depends
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection  # noqa: TC002 - FastAPI reads the annotation

from postlude import telemetry
from postlude.background import PlainTasks
from postlude.fastapi import Inner, Marking, Pinned, check_installable, key_of
from postlude.stock.files import folder_of, warnings_at
from postlude.stock.record import Fate
from postlude.stock.recorder import Recorder
from postlude.stock.sites import Sites

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import FrameType

    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from postlude.client.handle import Job
    from postlude.client.jobs import Jobs
    from postlude.clock import Clock
    from postlude.registry import Registry

P = ParamSpec("P")


class Observer:
    """Records what becomes of the background tasks of an application, in each process for itself.

    Args:
        url: where the application would keep its jobs: the record is beside that.
        registry: the tasks of the application.
        clock: what time it is.
        jobs: what the jobs that `add_task` returns ask.
    """

    def __init__(self, url: str, registry: Registry, clock: Clock, jobs: Jobs) -> None:
        self.jobs: Jobs = jobs
        self._folder = folder_of(url)
        self._registry = registry
        self._clock = clock
        self._guard = threading.Lock()
        self._pid = 0
        telemetry.make_heard()
        telemetry.announce(
            "observing: background tasks are FastAPI's own, and kept nowhere; what becomes of them is recorded in "
            f"{self._folder}, for `postlude audit`"
        )
        for line in warnings_at(self._folder):
            telemetry.warn(line)

    def here(self) -> tuple[Recorder, Sites]:
        """What records in this process."""
        if self._pid != os.getpid():  # the first request, or the first since a fork
            with self._guard:
                if self._pid != os.getpid():
                    recorder = Recorder(self._folder, self._clock)
                    self._here = recorder, Sites(recorder, self._registry)
                    self._pid = os.getpid()
        return self._here

    def install(self, app: FastAPI) -> None:
        """Observe the background tasks of `app`, and leave them to FastAPI; to be called before routes are added.

        Raises:
            InstallError: it is too late, or this is not a FastAPI application.
        """
        check_installable(app)
        key, jobs = key_of(self), self.jobs

        async def watch(connection: HTTPConnection, background_tasks: fastapi.BackgroundTasks) -> None:
            observed: Observed | None = connection.scope.get(key)
            if observed is not None:  # else its router is served by another application
                observed.adopt(background_tasks, jobs)

        watch.observer = self  # type: ignore[attr-defined]  # by this it is known again
        app.router.dependencies.insert(0, Depends(watch))
        app.user_middleware = Pinned([Middleware(Watch, self), *app.user_middleware, Middleware(Inner, app, self)])


def is_observed(app: FastAPI) -> bool:
    """Whether Postlude was given the application in order to observe it."""
    return any(hasattr(each.dependency, "observer") for each in app.router.dependencies)


class Watch(Marking):
    """The outermost middleware: it sees that a request is answered, and its end."""

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        super().__init__(app, key_of(observer))
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give each request and WebSocket what records its tasks."""
        if scope["type"] not in {"http", "websocket"} or self._key in scope:
            await super().__call__(scope, receive, send)
            return
        # FastAPI never runs the tasks of a WebSocket, so there is no answer to wait for.
        answered = scope["type"] == "websocket"
        observed = scope[self._key] = Observed(*self._observer.here(), send, answered=answered)
        try:
            await self.app(scope, receive, observed.send)
        except BaseException as error:
            observed.note(error)
            raise
        finally:
            del scope[self._key]
            observed.close()


class Observed:
    """One request or WebSocket, and the tasks that were added in it."""

    __slots__ = ("_answered", "_entries", "_raised", "_recorder", "_send", "_sites", "_stopped")

    def __init__(self, recorder: Recorder, sites: Sites, send: Send, *, answered: bool) -> None:
        self._recorder = recorder
        self._sites = sites
        self._send = send
        self._entries: list[Entry] = []
        self._answered = answered
        """Whether the client has the status line of what the endpoint returned."""
        self._raised: BaseException | None = None
        self._stopped: Fate | None = None
        """What keeps FastAPI from beginning the tasks behind one that has not succeeded."""

    def adopt(self, tasks: fastapi.BackgroundTasks, jobs: Jobs) -> None:
        """Have the injected object record what is added to it."""
        if self._raised is not None:
            # A middleware calls the application once more: what the first time added went down with it.
            self.close()
            self._raised = None
        ObservedTasks.adopt(tasks, jobs)
        cast("ObservedTasks", tasks)._observed = self  # noqa: SLF001 - the constructor that FastAPI cannot call

    def note(self, error: BaseException) -> None:
        """An exception is on its way out, or is about to be answered by an exception handler."""
        self._raised = self._raised or error

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; when it is the start of the answer, the tasks that were added are promised."""
        if message["type"] == "http.response.start" and self._raised is None:
            self._answered = True
            if self._entries:
                self._record(self._entries)
        return self._send(message)

    def added(self, task: BackgroundTask, frame: FrameType) -> None:
        """Have a task record what becomes of it, which was added in that frame."""
        try:
            number = self._sites.number(frame, task.func, task.args, task.kwargs)
        except Exception:  # noqa: BLE001 - the user's own code, such as a serializer: stock execution must not notice
            self._recorder.note(("missed", 1))
            return
        task.__class__ = Entry
        entry = cast("Entry", task)
        entry.observed, entry.site = self, number
        self._entries.append(entry)
        if self._answered:
            self._record([entry])

    def _record(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            entry.number = self._recorder.number()
            self._recorder.note(("added", entry.number, entry.site))

    def begun(self, entry: Entry) -> None:
        """It is about to be called."""
        if not entry.number:  # by the user, before the answer
            self._record([entry])
        entry.begun = True
        self._recorder.note(("begun", entry.number))

    def ended(self, entry: Entry, fate: Fate) -> None:
        """It has ended."""
        if fate is not Fate.SUCCEEDED:
            self._stopped = Fate.SKIPPED if fate is Fate.FAILED else Fate.CANCELLED
        self._recorder.note(("ended", entry.number, fate))

    def close(self) -> None:
        """The request is over, and what was not begun never will be."""
        entries, self._entries = self._entries, []  # each points at this: nothing is to wait for the garbage collector
        for entry in entries:
            if not entry.begun:
                fate = self._fate_of_unbegun()
                self._recorder.note(("ended", entry.number, fate) if entry.number else ("count", entry.site, fate, 1))

    def _fate_of_unbegun(self) -> Fate:
        if self._stopped is not None:
            return self._stopped
        if not self._answered:
            return Fate.DROPPED if self._raised is None else Fate.DISCARDED
        return Fate.CANCELLED if isinstance(self._raised, asyncio.CancelledError) else Fate.DROPPED


class ObservedTasks(PlainTasks):
    """FastAPI's own tasks of one request, each of which says when it begins and ends."""

    _observed: Observed

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Job[Any]:  # type: ignore[override]  # as PlainTasks
        """Add a task as FastAPI does; the job that is returned has an id, and is not in any store."""
        before = len(self.tasks)
        job = super().add_task(func, *args, **kwargs)
        for task in self.tasks[before:]:
            if type(task) is BackgroundTask:
                self._observed.added(task, sys._getframe(1))  # noqa: SLF001 - the user's line
        return job


class Entry(BackgroundTask):
    """What FastAPI has made of one call of `add_task`."""

    observed: Observed
    site: int
    number: int = 0
    """Under which it is recorded; 0: it is not, as long as its request is not answered."""
    begun: bool = False

    async def __call__(self) -> None:
        """Run as ever."""
        self.observed.begun(self)
        try:
            await super().__call__()
        except BaseException as error:
            self.observed.ended(self, Fate.FAILED if isinstance(error, Exception) else Fate.CANCELLED)
            raise
        self.observed.ended(self, Fate.SUCCEEDED)
