"""The engine behind an application that is tested, and the only place where the testing tools look into it.

The application was made by its own module, for production, and does not know that it is tested. So nothing is given to
it: what it has is exchanged in place, and put back.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from fastapi import FastAPI

from postlude.app import Postlude
from postlude.errors import NotTestable
from postlude.loops import running_loop
from postlude.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from postlude.clock import SystemClock
    from postlude.lifetime.process import Process

Tested: TypeAlias = FastAPI | Postlude
"""An application, or what `Postlude(app)` returned."""

T = TypeVar("T")


def engine_of(tested: Tested) -> Runtime:
    """The engine of an application.

    Raises:
        NotTestable: it has none, or Postlude is disabled, or only observes.
    """
    engine = tested._runtime if isinstance(tested, Postlude) else _installed_in(tested)  # noqa: SLF001
    if engine is None:
        message = (
            f"Expected a FastAPI application that was given to Postlude, or what Postlude(app) returned, got "
            f"{tested!r}. With POSTLUDE_DISABLED set nothing is installed: unset it for tests."
        )
        raise NotTestable(message)
    if engine.settings.disabled:
        message = "Postlude is disabled (POSTLUDE_DISABLED), so there is nothing of it to test: unset it for tests."
        raise NotTestable(message)
    if engine.settings.mode == "observe":
        message = 'Postlude only observes (mode="observe", or POSTLUDE_MODE): test with mode="durable".'
        raise NotTestable(message)
    return engine


def _installed_in(app: FastAPI) -> Runtime | None:
    router = getattr(app, "router", None)
    for dependency in getattr(router, "dependencies", ()):
        engine = getattr(dependency.dependency, "postlude", None)
        if isinstance(engine, Runtime):
            return engine
    return None


def clock_of(engine: Runtime) -> SystemClock:
    """The one clock that all parts of the engine have."""
    return cast("SystemClock", engine.clock)  # `Postlude` gives it no other


async def process_of(engine: Runtime) -> Process:
    """What the engine has open in this process; opened if it is not."""
    return await engine.opening.process()


def check_not_running(engine: Runtime) -> None:
    """Nothing, if the application has not started.

    Raises:
        NotTestable: it has, and would go on without what it had open, its worker or its child.
    """
    process = engine.opening.here
    loop = None if process is None else process.loop
    # A loop that has ended may have left one behind; without a worker in this process there is no loop to ask.
    if engine.applications if loop is None else loop.is_running():
        message = (
            "The application has started already. Begin the block before that: put the TestClient's `with` "
            "inside of it, and ask for the fixture before the one that starts the application."
        )
        raise NotTestable(message)


def close(engine: Runtime) -> None:
    """Close everything that the engine has open, from any thread.

    Raises:
        NotTestable: the application runs on the event loop of this very thread, which would wait for itself.
    """
    process = engine.opening.here
    if process is not None and process.loop is not None and process.loop is running_loop():
        message = "The application still runs on this event loop: stop it before the end of the block."
        raise NotTestable(message)
    if process is not None:
        aside(engine.close())


def aside(work: Coroutine[Any, Any, T]) -> T:
    """Run it on an event loop in a thread of its own, and wait for it; also from `async def`."""
    with ThreadPoolExecutor(1, thread_name_prefix="postlude-testing") as thread:
        return thread.submit(asyncio.run, work).result()
