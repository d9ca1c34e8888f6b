"""The hooks into FastAPI: from `install` on, every endpoint's background tasks are durable.

Nothing is patched. Three things are added to the application, all by its public attributes:

- `capture`, the first of the application's dependencies, sees the `BackgroundTasks` object that FastAPI injects.
- `Outer`, the outermost middleware, sees the response start, each of its messages, and the end of the request.
- `Inner`, the innermost middleware, sees the exceptions of endpoints before another middleware makes answers of them,
  and marks the application's exception handlers, so that the answers these make are known from those of endpoints.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import weakref
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, SupportsIndex

import fastapi
from fastapi import Depends, FastAPI
from starlette.exceptions import WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import HTTPConnection  # noqa: TC002 - FastAPI reads the annotation

from postlude import telemetry
from postlude.background import PlainTasks, adopt
from postlude.calls import CallOptions
from postlude.client import jobs as client
from postlude.coverage import coverage, first_endpoint
from postlude.dependencies import given_to_tasks
from postlude.errors import InstallError, StoreError
from postlude.request.conversation import Conversation
from postlude.request.exchange import NOT_ASYNCIO, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from postlude.client.jobs import Jobs
    from postlude.request.desk import Desk

__all__ = ["Jobs", "Outer", "desk_of", "install", "install_disabled", "is_disabled"]

DISABLED: Final = (
    "disabled by POSTLUDE_DISABLED: background tasks are FastAPI's own, and are kept nowhere; jobs that wait stay "
    "where they are until it is unset"
)
WITHOUT_LIFESPAN: Final = (
    "no lifespan was started for this application: each request runs its own tasks before it is over, and nothing here "
    "runs what comes later or was left by a process that died (delays, retries, schedules, interrupted jobs). Let the "
    "server run the lifespan (uvicorn --lifespan on). An application that is mounted in another has none of its own: "
    "Postlude(outer), and durable.install(this one). Or start `postlude worker` beside it"
)
_disabled: Final[weakref.WeakSet[client.Jobs]] = weakref.WeakSet()
"""Of which it was said. One may be installed in several applications."""


def install(app: FastAPI, desk: Desk) -> None:
    """Make the background tasks of `app` durable; `desk` stores and runs them.

    To be called before routes are added, since a route takes over the application's dependencies when it is made. An
    application that is mounted in another needs a call of its own, with the same desk.

    Raises:
        InstallError: it is too late, or this is not a FastAPI application.
    """
    check_installable(app)
    app.router.dependencies.insert(0, Depends(_capture(desk), scope="function"))
    app.user_middleware = Pinned([Middleware(Outer, app, desk), *app.user_middleware, Middleware(Inner, app, desk)])


def check_installable(app: FastAPI) -> None:
    """Nothing, if the hooks can be added to the application.

    Raises:
        InstallError: it is too late, or this is not a FastAPI application.
    """
    if not isinstance(app, FastAPI):
        message = (
            f"Postlude is installed in a FastAPI application, and got {app!r}. "
            "For a router, install it in the application that includes the router."
        )
        raise InstallError(message)
    if Inner in _classes(app):
        message = "Postlude is already installed in this application: keep one of the two calls."
        raise InstallError(message)
    if app.middleware_stack is not None:
        message = (
            "This application has already answered requests, and their endpoints were not covered. "
            "Install Postlude right after app = FastAPI()."
        )
        raise InstallError(message)
    endpoint = first_endpoint(app)
    if endpoint is not None:
        message = (
            f"The application already has routes ({endpoint}), and Postlude covers those that are added after it. "
            "Move Postlude(app) up, right after app = FastAPI()."
        )
        raise InstallError(message)


def install_disabled(app: FastAPI, jobs: client.Jobs) -> None:
    """Leave the background tasks of `app` to FastAPI, under the names that Postlude gives them, and say so."""
    if jobs not in _disabled:
        _disabled.add(jobs)
        telemetry.make_heard()
        telemetry.warn(DISABLED)

    async def plain(background_tasks: fastapi.BackgroundTasks) -> None:
        PlainTasks.adopt(background_tasks, jobs)

    plain.postlude = jobs  # type: ignore[attr-defined]  # by this it is known again
    app.router.dependencies.insert(0, Depends(plain))


def desk_of(app: FastAPI) -> Desk | None:
    """What stores and runs the background tasks of an application; None: Postlude is not installed in it."""
    return next((mark for mark in _marks(app) if mark not in _disabled), None)


def is_disabled(app: FastAPI) -> bool:
    """Whether Postlude was given the application, and was told to leave it as it is."""
    return any(mark in _disabled for mark in _marks(app))


@given_to_tasks(client.Jobs)
async def _jobs_here(connection: HTTPConnection) -> client.Jobs:
    """What an endpoint or a dependency gets by the annotation `Jobs`; a task is given those of its application."""
    app = connection.scope["app"]
    mark = next(iter(_marks(app)), None)
    if mark is None:
        message = (
            f"Jobs is the annotation for durable.jobs, and Postlude is not installed in the application that answers "
            f"{connection.scope['path']}. Install it there too: durable.install(sub)."
        )
        raise InstallError(message)
    jobs: client.Jobs = mark if isinstance(mark, client.Jobs) else mark.jobs
    return jobs


if not TYPE_CHECKING:
    # To a checker the class, so that what it injects has its type.
    Jobs = Annotated[client.Jobs, Depends(_jobs_here)]


def _marks(app: FastAPI) -> list[Any]:
    found = [getattr(each.dependency, "postlude", None) for each in app.router.dependencies]
    return [mark for mark in found if mark is not None]


def _classes(app: FastAPI) -> list[Any]:
    return [middleware.cls for middleware in app.user_middleware]


def key_of(owner: object) -> str:
    """Where an exchange is kept in a scope. Applications that are mounted in one another share it, and its owner."""
    return f"postlude.{id(owner):x}"


def _capture(desk: Desk) -> Callable[..., Any]:
    """The dependency that sees the injected object.

    A function and not an object that can be called: FastAPI 0.121 does not look up the annotations of one.
    """
    key = key_of(desk)
    options = CallOptions(ordered=desk.settings.ordered)

    async def capture(connection: HTTPConnection, background_tasks: fastapi.BackgroundTasks) -> None:
        scope = connection.scope
        exchange = scope.get(key)
        if exchange is None:
            message = (
                f"{scope['path']} was reached without the middleware of the application that Postlude is installed "
                "in: its router is served by another application. Install Postlude in that one too."
            )
            raise InstallError(message)
        adopt(background_tasks, exchange, options, scope)

    capture.postlude = desk  # type: ignore[attr-defined]  # by this it is known again
    return capture


class Pinned(list[Middleware]):
    """`app.user_middleware` whose first and last places are taken.

    `add_middleware` puts later ones at the front, by `insert(0, ...)`: here that is right behind the first.
    """

    def insert(self, index: SupportsIndex, middleware: Middleware) -> None:
        """Insert between the first and the last."""
        position = range(len(self) + 1)[max(-len(self) - 1, min(int(index), len(self)))] if self else 0
        super().insert(max(1, min(position, len(self) - 1)), middleware)

    def append(self, middleware: Middleware) -> None:
        """Insert before the last."""
        self.insert(len(self), middleware)

    def extend(self, middlewares: Iterable[Middleware]) -> None:
        """Insert before the last, in their order."""
        for middleware in middlewares:
            self.append(middleware)


class Outer:
    """The outermost middleware, just inside of the one that answers unhandled exceptions.

    Further out, the answer 500 that is made of an exception could not be told from one that the endpoint returned.
    """

    def __init__(self, app: ASGIApp, installed_in: FastAPI, desk: Desk) -> None:
        self.app = app
        self._installed_in = installed_in
        self._desk = desk
        self._key = key_of(desk)
        self._inner = Marking(app, self._key)
        self._begun = False
        """Whether a lifespan was seen, or it was said that there is none."""
        order = _classes(installed_in)
        if order[:1] != [Outer] or order[-1:] != [Inner]:
            names = ", ".join(getattr(cls, "__name__", repr(cls)) for cls in order)
            message = (
                "Postlude has to be the first and the last of app.user_middleware, and the list was changed in another "
                f"way than by add_middleware: {names}."
            )
            raise InstallError(message)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give each request and WebSocket its exchange; start and stop with the application."""
        kind = scope["type"]
        exchange: Exchange
        if kind == "http" and self._key not in scope:
            exchange = Exchange(self._desk, send)
        elif kind == "websocket" and self._key not in scope:
            exchange = Conversation(self._desk, send)
        elif kind == "lifespan":
            return await self._lifespan(scope, receive, send)
        else:
            # Mounted in an application to whose exchange this request belongs; or nothing that Postlude knows.
            return await self._inner(scope, receive, send)
        scope[self._key] = exchange
        try:
            await self.app(scope, receive, exchange.send)
        except BaseException as error:
            await exchange.finish(error)
            if not exchange.unwinding(error):
                raise
        else:
            if exchange.tasks is not None:
                if not self._begun and exchange.open_ids():
                    self._miss_lifespan(scope)
                await exchange.finish()
        finally:
            del scope[self._key]
        return None

    def _miss_lifespan(self, scope: Scope) -> None:
        """Say once that none was started, where that is no test, and is not what the settings ask for."""
        if not _is_test(scope):
            self._begun = True
            if self._desk.settings.worker != "off":
                telemetry.make_heard()
                telemetry.warn(WITHOUT_LIFESPAN)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start when the application has started up, with all its routers, and stop before it shuts down."""
        running = False
        refused: StoreError | None = None
        self._begun = True

        async def stop() -> None:
            nonlocal running
            if running:
                running = False
                await self._desk.stopped()

        async def receive_before() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await stop()
            return message

        async def send_after(message: Message) -> None:
            nonlocal running, refused
            if message["type"] == "lifespan.startup.complete":
                try:
                    await self._start()
                except StoreError as error:
                    refused = error
                    raise
                running = True
            elif refused is not None and message["type"] == "lifespan.startup.failed":
                # It says what to do. The traceback that Starlette sends, through two frameworks, would bury it.
                message = {**message, "message": f"{type(refused).__module__}.{type(refused).__qualname__}: {refused}"}
            await send(message)

        try:
            await self.app(scope, receive_before, send_after)
        finally:
            await stop()

    async def _start(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise InstallError(NOT_ASYNCIO) from None
        desk = self._desk

        def is_hook(dependency: object) -> bool:
            return getattr(dependency, "postlude", None) is desk

        await desk.started(coverage(self._installed_in, is_hook))


def _is_test(scope: Scope) -> bool:
    """Whether Starlette's `TestClient` asks, or the transport of httpx for tests: by the address that they pretend."""
    host, *port = scope.get("client") or ("",)
    return host == "testclient" or (host, *port) == ("127.0.0.1", 123)


class Noting(Protocol):
    """What is told of exceptions: an exchange."""

    def note(self, error: BaseException) -> None:
        """An exception is on its way out, or is about to be answered by an exception handler."""


class Marking:
    """Notes an exception in what a scope has under the key before others can hide it."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self.app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call what is further inside."""
        try:
            await self.app(scope, receive, send)
        except BaseException as error:
            _mark(scope, self._key, error)
            raise


class Inner(Marking):
    """The innermost middleware: all that passes it comes from the routes and their exception handlers."""

    def __init__(self, app: ASGIApp, installed_in: FastAPI, owner: object) -> None:
        super().__init__(app, key_of(owner))
        _mark_handlers(app, installed_in, self._key)


def _mark(scope: Scope, key: str, error: BaseException) -> None:
    noting: Noting | None = scope.get(key)
    if noting is not None:
        noting.note(error)


def _mark_handlers(app: ASGIApp, installed_in: FastAPI, key: str) -> None:
    """Have each exception handler note the exception that it answers.

    They are registered anew with the middleware that calls them; the application's own dictionary stays as it is. Those
    for 500 and `Exception` are called elsewhere, for exceptions that pass `Inner`.
    """
    layer: Any = app
    while not isinstance(layer, ExceptionMiddleware):
        layer = getattr(layer, "app", None)
        if layer is None:
            message = "FastAPI's ExceptionMiddleware was not found: this release of FastAPI is not supported."
            raise InstallError(message)
    handlers: dict[Any, Callable[..., Any]] = {
        WebSocketException: layer.websocket_exception,
        **installed_in.exception_handlers,
    }
    for kind, handler in handlers.items():
        if kind not in {500, Exception}:
            layer.add_exception_handler(kind, _noting(handler, key))


def _noting(handler: Callable[..., Any], key: str) -> Callable[..., Any]:
    called: Any = handler
    while isinstance(called, functools.partial):
        called = called.func
    if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(getattr(called, "__call__", None)):  # noqa: B004

        @functools.wraps(handler)
        async def noting(connection: HTTPConnection, error: Exception) -> object:
            _mark(connection.scope, key, error)
            return await handler(connection, error)

    else:

        @functools.wraps(handler)
        def noting(connection: HTTPConnection, error: Exception) -> object:
            _mark(connection.scope, key, error)
            return handler(connection, error)

    return noting
