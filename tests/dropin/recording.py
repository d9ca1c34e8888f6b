"""A desk that writes down what the hooks ask of it, in the place of the engine; and ways to send requests."""

from __future__ import annotations

import asyncio
import inspect
import json
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import fastapi
from fastapi import BackgroundTasks, FastAPI
from starlette.types import ASGIApp, Message, Scope

from postlude.bound import Bound
from postlude.calls import Call, CallOptions, Chain
from postlude.client.handle import Job
from postlude.coverage import Coverage
from postlude.errors import CallError, StoreUnavailable
from postlude.fastapi import install
from postlude.ids import new_job_id
from postlude.job import JobState
from postlude.settings import Settings

with warnings.catch_warnings():
    # Starlette 0.49 uses a name that anyio has moved since.
    warnings.simplefilter("ignore", DeprecationWarning)
    from fastapi.testclient import TestClient as TestClient  # noqa: PLC0414 - the other test files take it from here

FASTAPI = tuple(map(int, fastapi.__version__.split(".")[:3]))
LIVE_ROUTERS = FASTAPI >= (0, 137)
"""A route that is added to a router after `include_router` is served too."""
FUNCTION_SCOPE = FASTAPI >= (0, 121, 1)
"""`scope="function"` is honoured in `dependencies=[...]`; before, such a dependency exits after the response."""
TELEMETRY = FASTAPI >= (0, 165)
"""FastAPI makes spans."""


class Boom(Exception):
    """What endpoints raise."""


class Handle:
    """In the place of a `Job`."""

    def __init__(self, call: Call) -> None:
        self.id = call.id
        self.call = call


class RecordingDesk:
    """The engine as the hooks see it.

    `events` has, in order, what was asked and of which functions. A call is stored if its arguments are JSON.
    """

    def __init__(self, settings: Settings | None = None, *, worker: bool = False) -> None:
        self.settings = settings or Settings()
        self.worker = worker
        """Whether `run` returns at once, as when a worker runs on the loop."""
        self.events: list[tuple[Any, ...]] = []
        self.ran: list[str] = []
        self.reasons: list[str] = []
        """Why calls were discarded."""
        self.chains: list[Chain] = []
        self.calls: list[Call] = []
        self.failing: Exception | None = None
        """What the next commits raise."""
        self.gate: asyncio.Event | None = None
        """What the next commits wait for."""
        self.committing = asyncio.Event()
        self.coverage: Coverage | None = None
        self._tasks: set[asyncio.Task[bool]] = set()

    def break_store(self) -> None:
        self.failing = StoreUnavailable("the disk is full")

    def kinds(self) -> list[str]:
        return [event[0] for event in self.events]

    def named(self, kind: str) -> list[str]:
        """The functions of all events of one kind, in their order."""
        return [name for event in self.events if event[0] == kind for name in event[1]]

    @property
    def kept(self) -> list[str]:
        return self.named("commit")

    @property
    def discarded(self) -> list[str]:
        return self.named("discard")

    # What the hooks ask

    def prepare(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> Call:
        if not callable(function):
            message = f"expected a function, got {function!r}"
            raise CallError(message)
        try:
            text: str | None = json.dumps([args, kwargs])
        except TypeError:
            text = None
        definition = cast("Any", SimpleNamespace(function=function, name=_name(function), policy_text=None))
        call = Call(definition, new_job_id(), args, kwargs, text, options, None)
        self.calls.append(call)
        return call

    prepare_stored = prepare

    async def bind(self, session: object, origin: str) -> Bound:
        raise NotImplementedError

    def handle(self, call: Call, added: JobState = JobState.STAGED) -> Job[Any]:
        return cast("Job[Any]", Handle(call))

    async def commit(self, chain: Chain, calls: Sequence[Call]) -> None:
        self.committing.set()
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.failing is not None:
            self._note("failed", calls)
            raise self.failing
        if chain not in self.chains:
            self.chains.append(chain)
        self._note("commit", calls)

    async def run(self, calls: Sequence[Call]) -> None:
        self._note("run", calls)
        task = asyncio.create_task(self._execute(calls))
        self._tasks.add(task)
        if not self.worker:
            await asyncio.shield(task)

    async def run_here(self, calls: Sequence[Call]) -> bool:
        self._note("run_here", calls)
        return await self._execute(calls)

    def unsaved(self, calls: Sequence[Call], error: Exception) -> None:
        self._note("unsaved", calls, type(error).__name__)

    def discard(self, calls: Sequence[Call], reason: BaseException | None) -> None:
        self._note("discard", calls, type(reason).__name__)
        self.reasons.append(str(reason))

    async def started(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.events.append(("started", []))

    async def stopped(self) -> None:
        self.events.append(("stopped", []))

    async def idle(self) -> None:
        """Return when everything that was given to `run` has ended."""
        while left := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(left)

    def _note(self, kind: str, calls: Sequence[Call], *more: object) -> None:
        self.events.append((kind, [_name(call.definition.function) for call in calls], *more))

    async def _execute(self, calls: Sequence[Call]) -> bool:
        in_order = True
        for call in calls:
            if call.options.ordered and not in_order:
                continue
            try:
                if call.around is None:
                    await self._attempt(call)
                else:
                    await call.around(lambda call=call: self._attempt(call))  # type: ignore[misc]
            except Boom:
                in_order = in_order and not call.options.ordered
        return in_order

    async def _attempt(self, call: Call) -> None:
        function = call.definition.function
        self.ran.append(_name(function))
        if call.context is None:
            result = function(*call.args, **call.kwargs)
        else:
            result = call.context.run(function, *call.args, **call.kwargs)
        if inspect.isawaitable(result):
            await result


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def durable(desk: RecordingDesk | None = None, **options: Any) -> tuple[FastAPI, RecordingDesk]:
    """An application with the hooks, and its desk."""
    app, desk = FastAPI(**options), desk or RecordingDesk()
    install(app, desk)
    return app, desk


def request(app: ASGIApp, path: str = "/", method: str = "GET", **options: Any) -> Any:
    """One request as a client sees it, where no lifespan runs."""
    return TestClient(app, raise_server_exceptions=False).request(method, path, **options)


class Server:
    """Calls an application as a server does, and keeps what it sends."""

    def __init__(self, app: ASGIApp, client: tuple[str, int] | None = ("testclient", 1)) -> None:
        self.app = app
        self.client = client
        self.sent: list[Message] = []
        self.on_send: Callable[[Message], Awaitable[None] | None] = lambda _: None

    async def get(
        self, path: str = "/", *, method: str = "GET", headers: Sequence[tuple[bytes, bytes]] = (), spec: str = "2.4"
    ) -> None:
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *headers],
            "asgi": {"version": "3.0", "spec_version": spec},
            "http_version": "1.1",
            "scheme": "http",
            "server": ("testserver", 80),
            "client": self.client,
            "root_path": "",
            "extensions": {},
            "state": {},
        }
        body = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Message:
            message = next(body, None)
            if message is None:
                await asyncio.Event().wait()  # the client stays
            return cast("Message", message)

        async def send(message: Message) -> None:
            self.sent.append(message)
            awaitable = self.on_send(message)
            if awaitable is not None:
                await awaitable

        await self.app(scope, receive, send)

    @property
    def status(self) -> int | None:
        return next((message["status"] for message in self.sent if message["type"] == "http.response.start"), None)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent if message["type"] == "http.response.body")


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until `condition` holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - it may be anything, and nobody tells when it holds
            await asyncio.sleep(0)


async def chunks(*values: bytes) -> AsyncIterator[bytes]:
    for value in values:
        yield value


# The functions that tests add


async def job() -> None:
    pass


async def late() -> None:
    pass


async def own() -> None:
    pass


def plain() -> None:
    pass


def adds(app: FastAPI) -> None:
    """An endpoint that adds a task and returns."""

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> int:
        tasks.add_task(job)
        return 1


def adds_and_raises(app: FastAPI) -> None:
    """An endpoint that adds a task and raises."""

    @app.get("/")
    async def endpoint(tasks: BackgroundTasks) -> int:
        tasks.add_task(job)
        raise Boom
