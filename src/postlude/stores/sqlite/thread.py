"""A thread that does for all event loops what would block them, as much of it at a time as has come together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, Self

from postlude.stores.entries import Entry, refuse, resolve, taken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from apsw import Connection

    from postlude.stores.sqlite.forks import Gate


class Operation(Protocol):
    """Does the same thing for several submitters and gives each its result, or the error that is its own fault."""

    def __call__(self, connection: Connection, payloads: Sequence[Any], /) -> Sequence[Any]:
        """One result for each payload."""
        ...


class Caught:
    """Keeps whatever was raised in its block, for handing it to those who wait: nothing may be lost in a thread."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.error = error
        return error is not None


class DatabaseThread:
    """The thread, and the list of what waits for it.

    An event loop wakes it once for all that is submitted in two turns, and only if it sleeps. While it works, what is
    submitted comes together and is taken at once when it is done: the slower the disk, the larger the groups.
    """

    def __init__(
        self, name: str, process: Callable[[list[Entry[Operation]]], None], finish: Callable[[], None], gate: Gate
    ) -> None:
        self._process = process
        self._finish = finish
        self._gate = gate
        self._pending: deque[Entry[Operation]] = deque()
        self._loops: set[asyncio.AbstractEventLoop] = set()
        """Those that will call `_notify` soon."""
        self._waiting_for_end: list[Entry[Operation]] = []
        self._mutex = threading.Lock()
        self._idle = False
        self._stopping = False
        self._ended = False
        # A plain lock, held: to be woken is to acquire it. Semaphore is a lock for each sleep, made in Python.
        self._awake = threading.Lock()
        self._awake.acquire()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, operation: Operation, payload: object) -> asyncio.Future[Any]:
        """Hand in, from the thread of a running event loop; the future belongs to that loop."""
        loop = asyncio.get_running_loop()
        entry = Entry(operation, payload, loop.create_future())
        self._pending.append(entry)
        if self._ended:
            refuse(self._pending)
        elif loop not in self._loops:
            self._loops.add(loop)
            # At the beginning of the turn after next. What is submitted until then comes along; and so does, nearly
            # always, what the requests submit right after it that the next turn reads from its sockets: the woken
            # thread looks at the list only when it gets the GIL. Under load that halves the changes of thread; an idle
            # loop takes microseconds for one more turn.
            loop.call_soon(loop.call_soon, self._notify_from, loop)
        return entry.future

    async def stop(self) -> None:
        """Let the thread finish what was submitted, and end it. Idempotent."""
        with self._mutex:
            if self._ended:
                return
            entry: Entry[Operation] = Entry(_end, None, asyncio.get_running_loop().create_future())
            self._waiting_for_end.append(entry)
            self._stopping = True
        self._notify()
        await entry.future

    def _notify_from(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loops.discard(loop)
        self._notify()

    def _notify(self) -> None:
        if not self._idle:
            return  # before it sleeps it says so, and then looks once more
        with self._mutex:
            if not self._idle:
                return
            self._idle = False
        self._awake.release()

    def _run(self) -> None:
        while True:
            entries = taken(self._pending)
            if entries:
                with Caught() as caught, self._gate:
                    self._process(entries)
                if caught.error is not None:
                    for entry in entries:
                        entry.result = caught.error
                resolve(entries)
                # Not to be kept while asleep: they hold on to loops and to users' values.
                entries.clear()
            elif self._stopping:
                break
            else:
                self._sleep()
        with Caught() as caught, self._gate:
            self._finish()
        with self._mutex:
            self._ended = True
        refuse(self._pending)
        for entry in self._waiting_for_end:
            entry.result = caught.error
        resolve(self._waiting_for_end)

    def _sleep(self) -> None:
        with self._mutex:
            self._idle = True
            if self._pending or self._stopping:
                self._idle = False
                return
        self._awake.acquire()


def _end(connection: Connection, payloads: Sequence[None]) -> Sequence[None]:
    """What `stop` submits, so to speak: it is the thread itself that carries it out."""
    raise NotImplementedError
