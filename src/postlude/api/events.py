"""Server-sent events of a job: its state, its progress and its log lines, to the end."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, NamedTuple

from fastapi.routing import APIRoute
from starlette.responses import Response

from postlude.errors import JobNotFound, StoreError
from postlude.ids import new_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from uuid import UUID

    from starlette.types import Message, Receive, Scope, Send

    from postlude.api.showing import Showing, Shown
    from postlude.services.streams import Hub, News
    from postlude.stores.watching import Glance
    from postlude.views.values import Shown as Values

LONGEST: Final = 600.0
"""Seconds after which a stream ends, and the client comes again by itself: so `authorize` is asked again."""
SOONEST: Final = 1_000
SPREAD: Final = 3_000
"""Milliseconds after which a client that lost its stream comes again: from the first, and up to so many more. After a
restart not all of them come at once."""
_STREAM: Final = "postlude.stream"
_ID: Final = re.compile(r"([0-9]{1,9})-([0-9a-f]{8})(-end)?")


class Place(NamedTuple):
    """How far a client has come: it is the id of each event, and comes back as `Last-Event-ID`."""

    line: int = 0
    """The number of the last line of the log that it has got."""
    mark: str = ""
    """That of the last state."""
    ended: bool = False
    """Whether that was the end."""

    @classmethod
    def read(cls, text: str | None) -> Place:
        """The place in an id; the beginning where that is none."""
        found = None if text is None else _ID.fullmatch(text)
        return cls() if found is None else cls(int(found[1]), found[2], found[3] is not None)

    def __str__(self) -> str:
        return f"{self.line}-{self.mark or '0' * 8}{'-end' if self.ended else ''}"


class JobEvents:
    """Everything that one client is to be told of one job.

    Args:
        hub: tells what is new.
        showing: makes of it what may be seen.
        values: what is shown of the values of the job, and of its texts.
        anew: reads that again; None: a job without a key keeps its arguments.
        all_of_it: whether the client may see more than state and progress.
        place: how far it has come.
    """

    def __init__(
        self,
        hub: Hub,
        showing: Showing,
        values: Values,
        anew: Callable[[], Awaitable[Values]] | None,
        *,
        all_of_it: bool,
        place: Place,
    ) -> None:
        self._hub = hub
        self._showing = showing
        self._values = values
        self._anew = anew
        self._begun: tuple[int, float | None] | None = None
        """Which attempt the values are those of: its number, and when it began; None: they were read before."""
        self._all_of_it = all_of_it
        self._place = place
        self._last: Shown | None = None

    async def told(self, job_id: UUID) -> AsyncGenerator[str, None]:
        """The events as text, to the end of the job, or of the process; or until its values cannot be read anew."""
        yield f"retry: {SOONEST + new_token() % SPREAD}\n\n"
        lines_after = self._place.line if self._all_of_it else None
        async with aclosing(self._hub.watch(job_id, lines_after=lines_after)) as told:
            async for news in told:
                try:
                    await self._keep_up(news.job)
                except (JobNotFound, StoreError):
                    return  # and the client comes again by itself
                yield self._text(news) or ": \n\n"

    async def _keep_up(self, job: Glance | None) -> None:
        """Read the values anew when an attempt has begun: another call may have given it others while it waited."""
        if self._anew is None or job is None:
            return
        begun = job.attempt, job.started_at
        if begun != self._begun:
            self._values, self._begun = await self._anew(), begun

    def _text(self, news: News) -> str:
        first = news.last_line - len(news.lines) + 1
        # Before the state, whose place is behind them: whoever is cut off in between loses none.
        events = [
            self._line(number, self._showing.line(line, self._values)) for number, line in enumerate(news.lines, first)
        ]
        if news.job is not None:
            events.append(self._state(self._showing.shown(news.job, self._values, self._all_of_it)))
        return "".join(events)

    def _line(self, number: int, text: str) -> str:
        self._place = self._place._replace(line=number)
        return self._event("log", text)

    def _state(self, shown: Shown) -> str:
        last, self._last = self._last, shown
        if shown.mark == self._place.mark:
            return ""  # what it had before its stream broke
        self._place = self._place._replace(mark=shown.mark, ended=shown.ended)
        if shown.ended:
            return self._event("end", shown.state)
        if last is not None and last.rest == shown.rest:
            return self._event("progress", shown.progress)
        return self._event("state", shown.state)

    def _event(self, name: str, text: str) -> str:
        return f"event: {name}\nid: {self._place}\ndata: {text}\n\n"


class EventStream(Response):
    """Events that are sent as they come, until there are no more, the client leaves, or it has taken `LONGEST`.

    It is sent by `EventRoute`, and not where other responses are: see there.
    """

    media_type: str | None = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str, None] | None = None) -> None:
        # Proxies must not wait for the end of it, nor compress it, and nobody may keep it.
        super().__init__(headers={"cache-control": "no-store, no-transform", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Leave it to the route."""
        scope[_STREAM] = self

    async def send_all(self, receive: Receive, send: Send) -> None:
        """Send all of it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_has_left(receive))
        try:
            await asyncio.wait({sending, leaving}, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = sending.done()
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
        if ended:
            sending.result()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if self.background is not None:
            await self.background()

    async def _send(self, send: Send) -> None:
        if self._events is None:
            return
        async with aclosing(self._events) as events:
            async for text in events:
                await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _has_left(receive: Receive) -> None:
    message: Message = {}
    while message.get("type") != "http.disconnect":
        message = await receive()


class EventRoute(APIRoute):
    """Sends the events when the request's dependencies have exited: nobody keeps a database session while listening."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; `scope` has the stream, if the answer is one."""
        await super().handle(scope, receive, send)
        stream: EventStream | None = scope.pop(_STREAM, None)
        if stream is not None:
            await stream.send_all(receive, send)
