"""The application's lifespan, run as a server runs it: tasks find their pools and models."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message


class LifespanFailed(Exception):
    """The application said that it could not start or shut down, or was over before it said anything."""


class Lifespan:
    """From start to shutdown, in one asyncio task, as the ASGI specification wants it.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._asked: asyncio.Queue[Message] = asyncio.Queue()
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the application has started.

        Raises:
            LifespanFailed: it has not. What it raised passes as it is.
        """
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        work = self._app(scope, self._asked.get, self._said.put)
        self._task = asyncio.ensure_future(work)
        await self._ask("startup")

    async def stop(self) -> None:
        """Return when the application has shut down.

        Raises:
            LifespanFailed: it says that it could not. What it raised passes as it is.
        """
        await self._ask("shutdown")

    async def give_up(self) -> None:
        """End a start that is under way. What the application raises for that is nobody's."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _ask(self, what: str) -> None:
        task = self._task
        if task is None:
            return
        self._asked.put_nowait({"type": f"lifespan.{what}"})
        said = asyncio.ensure_future(self._said.get())
        await asyncio.wait({said, task}, return_when=asyncio.FIRST_COMPLETED)
        if said.done() and said.result()["type"] == f"lifespan.{what}.complete":
            return
        said.cancel()
        await asyncio.wait({task})
        task.result()
        message = f"the application ended its lifespan without having completed its {what}"
        raise LifespanFailed(message)
