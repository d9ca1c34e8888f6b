"""An application served in this loop, and answers that are read while they come: no test client of Starlette's can."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from fastapi import FastAPI
from starlette.types import Message, Scope


class Sent(NamedTuple):
    """An event as a browser takes it apart."""

    name: str
    id: str
    data: Any


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[None]:
    """The application's lifespan, as a server runs it."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan", "state": {}}, incoming.get, outgoing.put))
    incoming.put_nowait({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        incoming.put_nowait({"type": "lifespan.shutdown"})
        assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
        await running


class Answer:
    """The answer to one request, as it comes."""

    def __init__(
        self, app: FastAPI, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, root: str = ""
    ) -> None:
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "http",
            "server": ("test", 80),
            "method": method,
            "path": root + path,
            "raw_path": (root + path).encode(),
            "root_path": root,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._incoming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self.running = asyncio.create_task(app(scope, self._incoming.get, self._outgoing.put))
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""
        self._taken = 0

    async def begin(self) -> "Answer":
        """Return when its status is there."""
        started = await self._next()
        self.status = started["status"]
        self.headers = {name.decode(): value.decode() for name, value in started["headers"]}
        return self

    async def _next(self) -> Message:
        getting = asyncio.ensure_future(self._outgoing.get())
        await asyncio.wait({getting, self.running}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            self.running.result()
            raise AssertionError("it ended without a word")
        return getting.result()

    async def end(self) -> "Answer":
        """Return when all of it is there."""
        if not self.status:
            await self.begin()
        while await self._chunk():
            pass
        await self.running
        return self

    async def _chunk(self) -> bool:
        message = await self._next()
        self.text += message.get("body", b"").decode()
        return bool(message.get("more_body", False))

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def events(self) -> list[Sent]:
        """The events so far."""
        found = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith((":", "retry")))
            if fields:
                found.append(Sent(fields["event"], fields["id"], json.loads(fields["data"])))
        return found

    async def event(self, *names: str) -> Sent:
        """The next event, or the next of those with these names."""
        while True:
            while len(self.events) <= self._taken:
                assert await self._chunk(), "no event came any more"
            self._taken += 1
            event = self.events[self._taken - 1]
            if not names or event.name in names:
                return event

    def leave(self) -> None:
        """The client closes the connection."""
        self._incoming.put_nowait({"type": "http.disconnect"})
