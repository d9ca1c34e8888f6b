"""What those who watch jobs are told: one hub in each process looks into the store for all of them together.

How to use it. `Postlude` has one hub, `durable._hub`, and gives it to the web faces. Both of its methods are
asynchronous generators, to be closed by who uses them, and both end by themselves when the process is told to end, so
that an open stream never holds up a shutdown or a reload:

    async with aclosing(hub.watch(job_id, lines_after=0)) as told:  # one job, until it has ended
        async for news in told:
            news.job  # a Glance: its state, progress, times, and at last its result or failure; None: as it was
            news.lines, news.last_line  # what it has logged since, and the number of the last of these lines

    async with aclosing(hub.share("overview", views.overview)) as told:  # whatever many look at
        async for value in told: ...  # None: nothing new

`News()`, and None from `share`, come after `KEEP_ALIVE` seconds without anything new: send a comment then, so that
nothing on the way takes the connection for dead. `watch` begins with what the hub knows already, or with the next look,
which comes at once or after `EVERY` seconds; show what you have read of the job yourself until then.

It costs one statement every `EVERY` seconds, whatever the number of jobs and listeners, and one for each name that is
shared; nothing while nobody listens. What this process settles is looked at at once, as long as that stays rare.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from postlude.clock import wait
from postlude.loglines import newest
from postlude.loops import in_background
from postlude.services.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
    from uuid import UUID

    from postlude.client.waiting import Waiters
    from postlude.clock import Clock
    from postlude.loglines import LogLine
    from postlude.stores.contract import Store
    from postlude.stores.watching import Glance
    from postlude.telling import Events

T = TypeVar("T")

EVERY: Final = 1.25
"""Seconds between two looks into the store."""
SPARE: Final = 0.15
"""How many looks a second may come before their time: all together they stay below one."""
MOST_SPARE: Final = 3.0
"""So many looks may come before their time one right after the other."""
KEEP_ALIVE: Final = 15.0
"""Seconds without anything new after which a listener is told that there is nothing."""


class News(NamedTuple):
    """What a listener has not heard yet."""

    job: Glance | None = None
    """As it is now; None: it has not changed. Its own `lines` are those of the last look: use the ones beside it."""
    lines: Sequence[LogLine] = ()
    """What it has logged since, oldest first; only for who has asked for lines."""
    last_line: int = 0
    """The number of the last of these."""


class Hub:
    """Tells everybody in this process what becomes of jobs.

    Args:
        opened: gives the store, opened in this process.
        waiters: are told what this process settles.
        clock: what time it is.
        events: told when a look fails; the next one is taken a second later.
        ending: whether the process was told to end.
    """

    def __init__(
        self,
        opened: Callable[[], Awaitable[Store]],
        waiters: Waiters,
        clock: Clock,
        events: Events,
        ending: Callable[[], bool] = lambda: False,
    ) -> None:
        self._opened = opened
        self._waiters = waiters
        self._clock = clock
        self._events = events
        self._ending = ending
        self._lookouts: dict[asyncio.AbstractEventLoop, Lookout] = {}
        """One for each event loop on which somebody listens: a server has one. It is the process's hub there."""

    async def watch(self, job_id: UUID, *, lines_after: int | None = None) -> AsyncGenerator[News, None]:
        """What becomes of a job, until it has ended or is not there any more; the last news has its end.

        Args:
            job_id: its own id, and not one by which another job answers.
            lines_after: the number of the line behind which its log is wanted, 0 for all of it; None: not at all.
        """
        lookout = self._lookout()
        with lookout.watched(job_id, self._waiters, lines=lines_after is not None) as watched:
            told, known = asyncio.Event(), None
            watched.listeners.add(told)
            try:
                while not (lookout.ended or self._ending()):
                    told.clear()
                    job = watched.job if watched.job != known else None
                    lines, last = watched.lines_behind(lines_after)
                    if job is not None or lines:
                        known, lines_after = watched.job, last if lines_after is not None else None
                        yield News(job, lines, last)
                    if watched.over:
                        return
                    # What came while this was handed on is not waited for.
                    if not told.is_set() and not await _heard(told):
                        yield News()
            finally:
                watched.listeners.discard(told)

    async def share(self, name: str, read: Callable[[], Awaitable[T]]) -> AsyncGenerator[T | None, None]:
        """What `read` gives, and again whenever that is another value: read once for all who name it the same.

        Args:
            name: under which it is shared; whoever gives the same name gives a function that reads the same.
            read: gives a value that can be compared, and is not None.
        """
        lookout = self._lookout()
        with lookout.shared(name, read) as shared:
            told, known = asyncio.Event(), None
            shared.listeners.add(told)
            try:
                while not (lookout.ended or self._ending()):
                    told.clear()
                    if shared.value != known:
                        known = shared.value
                        yield known
                    if not told.is_set() and not await _heard(told):
                        yield None
            finally:
                shared.listeners.discard(told)

    def end(self) -> None:
        """Have all end that listen now. From any thread, or a signal handler."""
        lookouts, self._lookouts = self._lookouts, {}
        for loop, lookout in lookouts.items():
            with contextlib.suppress(RuntimeError):  # it was closed: nobody listens there any more
                loop.call_soon_threadsafe(lookout.end)

    def _lookout(self) -> Lookout:
        loop = asyncio.get_running_loop()
        lookout = self._lookouts.get(loop)
        if lookout is None:
            self._lookouts = {each: theirs for each, theirs in self._lookouts.items() if not each.is_closed()}
            lookout = self._lookouts[loop] = Lookout(self._opened, self._clock)
            lookout.service = Service("streams", lookout, self._events)
            Context().run(lookout.service.start)  # which would keep the first listener's, and all that is in it
        return lookout


class Lookout:
    """Looks into the store for all who listen on one event loop, as a service that rests while nobody does."""

    service: Service

    def __init__(self, opened: Callable[[], Awaitable[Store]], clock: Clock) -> None:
        self._opened = opened
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._jobs: dict[UUID, _Watched] = {}
        self._shared: dict[str, _Shared] = {}
        self._spare = MOST_SPARE
        self._looked_at = clock.elapsed()
        self.ended: bool = False

    @contextlib.contextmanager
    def watched(self, job_id: UUID, waiters: Waiters, *, lines: bool) -> Iterator[_Watched]:
        """What is known of a job that is watched for the length of the block."""
        watched = self._jobs.get(job_id)
        if watched is None or watched.over:
            watched = self._jobs[job_id] = _Watched(self._tell)
            watched.until_left.enter_context(waiters.telling(job_id, watched))
        watched.reading += lines
        if watched.job is None or (lines and watched.reading == 1):
            self.wake()
        try:
            yield watched
        finally:
            watched.reading -= lines
            if not watched.listeners:
                watched.until_left.close()
                if self._jobs.get(job_id) is watched:
                    del self._jobs[job_id]

    @contextlib.contextmanager
    def shared(self, name: str, read: Callable[[], Awaitable[Any]]) -> Iterator[_Shared]:
        """What is known of something that many look at, for the length of the block."""
        shared = self._shared.get(name)
        if shared is None:
            shared = self._shared[name] = _Shared(read)
            self.wake()
        try:
            yield shared
        finally:
            if not shared.listeners and self._shared.get(name) is shared:
                del self._shared[name]

    def end(self) -> None:
        """Have everybody end who listens, and look no more."""
        self.ended = True
        in_background(self.service.stop())
        for source in (*self._jobs.values(), *self._shared.values()):
            source.tell_all()

    def _tell(self) -> None:
        """Something is known to have changed; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody listens there any more
            self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """Look now, unless that was done too often of late: then at the next time."""
        if self._spare_now() >= 1:
            self.service.wake()

    def _spare_now(self) -> float:
        return min(MOST_SPARE, self._spare + (self._clock.elapsed() - self._looked_at) * SPARE)

    async def run_once(self) -> float | None:
        """Look at all that is watched; returns the seconds until the next look, None while nobody listens."""
        if not self._jobs and not self._shared:
            # As long as nothing may be looked at before its time, who comes next waits for that time.
            return None if self._spare_now() >= 1 else EVERY
        now = self._clock.elapsed()
        early = now - self._looked_at < EVERY * 0.9  # a timer is not exact
        self._spare, self._looked_at = max(0.0, self._spare_now() - early), now
        if self._jobs:
            store = await self._opened()
            watched = dict(self._jobs)
            behind = {job_id: each.behind for job_id, each in watched.items()}
            found = {job.id: job for job in await store.glances(behind)}
            for job_id, each in watched.items():
                each.seen(found.get(job_id), with_lines=behind[job_id] is not None)
        for shared in tuple(self._shared.values()):
            shared.seen(await shared.read())
        return EVERY


class _Source:
    """What several may listen to."""

    def __init__(self) -> None:
        self.listeners: set[asyncio.Event] = set()

    def tell_all(self) -> None:
        for listener in self.listeners:
            listener.set()


class _Shared(_Source):
    """What is read once for all who look at it."""

    def __init__(self, read: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self.read = read
        self.value: Any = None

    def seen(self, value: object) -> None:
        if value != self.value:
            self.value = value
            self.tell_all()


class _Watched(_Source):
    """A job that somebody watches.

    Args:
        settled: called when this process has settled it, on any thread.
    """

    def __init__(self, settled: Callable[[], None]) -> None:
        super().__init__()
        self.tell = settled
        self.until_left = contextlib.ExitStack()
        """Closed when nobody listens any more."""
        self.reading = 0
        """How many of those who listen want its lines."""
        self.job: Glance | None = None
        self.over = False
        """Whether it has ended, or is not there any more."""
        self._lines: list[LogLine] = []
        self._last_line = 0

    @property
    def behind(self) -> int | None:
        """The number of the line behind which its log is to be read; None: nobody wants it."""
        return self._last_line if self.reading else None

    def seen(self, job: Glance | None, *, with_lines: bool) -> None:
        """Take over what was found; None: there is no such job."""
        lines = () if job is None else job.lines
        if lines and job is not None:
            self._lines = newest([*self._lines, *lines])
            self._last_line = job.last_line
        # Whoever has come to read its lines in the meantime gets those before it is over.
        known, self.over = self.job, job is None or (job.state.finished and (with_lines or not self.reading))
        if job is not None:
            self.job = job._replace(lines=(), last_line=0)
        if self.over or lines or self.job != known:
            self.tell_all()

    def lines_behind(self, number: int | None) -> tuple[Sequence[LogLine], int]:
        """The lines behind the one with this number, and the number of the last one."""
        missing = 0 if number is None else self._last_line - number
        return (self._lines[-missing:], self._last_line) if missing > 0 else ((), number or 0)


async def _heard(told: asyncio.Event) -> bool:
    """Wait to be told; returns False if that took `KEEP_ALIVE` seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + KEEP_ALIVE
    await wait(told, KEEP_ALIVE)
    return loop.time() < until
