"""A thread with an event loop of its own, for everything that is said to the database, and the way there and back.

asyncpg's connections belong to one event loop, while the operations of a store are awaited on any: that of the server,
of `durable.blocking`, of a test. And a server's loop that is blocked by a task must not keep the lease from being
extended.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from postlude.stores.entries import Entry, Sizes, refuse, resolve, taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

Payload = TypeVar("Payload")

Taking: TypeAlias = "Callable[[Entry[Any]], None]"
"""Takes an entry, on the bridge's own loop."""

LARGEST_GROUP: Final = 1_000
"""Payloads that share a commit at most: more make it no cheaper for each, and all of them wait for it."""


class Bridge:
    """Carries calls from any event loop to its own, and the results back."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._pending: deque[Entry[Taking]] = deque()
        self._woken = False
        self._ended = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, taking: Taking, payload: object) -> asyncio.Future[Any]:
        """Hand in, from the thread of a running event loop; the future belongs to that loop."""
        entry = Entry(taking, payload, asyncio.get_running_loop().create_future())
        self._pending.append(entry)
        if self._ended:
            refuse(self._pending)
        elif not self._woken:
            # One waking for all that comes before the other thread gets to look.
            self._woken = True
            self._loop.call_soon_threadsafe(self._take)
        return entry.future

    def call(self, operation: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        """Carry out one operation by itself."""
        return self.submit(self._begin, operation)

    def soon(self, callback: Callable[[], object]) -> None:
        """Call it on the bridge's own loop; not at all if that has ended. From any thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task, on the bridge's own loop."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self, last: Callable[[], Awaitable[None]], *, gives_up: bool = False) -> None:
        """Carry out what was submitted, or cancel it, then `last`, and end the thread. Idempotent."""
        if self._ended:
            return
        try:
            await self.call(lambda: self._finish(last, gives_up=gives_up))
        finally:
            self._ended = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            refuse(self._pending)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
            self._loop.close()

    async def _finish(self, last: Callable[[], Awaitable[None]], *, gives_up: bool) -> None:
        this = asyncio.current_task()
        for task in self._tasks:
            if gives_up and task is not this:
                task.cancel()
        while others := {task for task in self._tasks if task is not this}:
            await asyncio.wait(others)
        await last()

    def _take(self) -> None:
        self._woken = False
        for entry in taken(self._pending):
            entry.operation(entry)

    def _begin(self, entry: Entry[Taking]) -> None:
        self.spawn(self._carry_out(entry))

    async def _carry_out(self, entry: Entry[Taking]) -> None:
        try:
            entry.result = await entry.payload()
        except BaseException as error:  # noqa: BLE001 - raised at the submitter: nothing may be lost in a thread
            entry.result = error
        resolve([entry])


class Group(Generic[Payload]):
    """What is submitted while one commit is on its way goes into the next, all of it together.

    Args:
        bridge: on whose loop it works.
        apply: does the same thing for several payloads in one commit, and gives each its result.
        alone: whether an error is the fault of one of several payloads, so that each is tried by itself.
        at_once: commits that may be on their way at the same time.
        sizes: told of each commit.
    """

    def __init__(
        self,
        bridge: Bridge,
        apply: Callable[[Sequence[Payload]], Awaitable[Sequence[Any]]],
        *,
        alone: Callable[[BaseException], bool],
        at_once: int,
        sizes: Sizes,
    ) -> None:
        self._bridge = bridge
        self._apply = apply
        self._alone = alone
        self._free = at_once
        self._sizes = sizes
        self._waiting: list[Entry[Taking]] = []

    def submit(self, payload: Payload) -> asyncio.Future[Any]:
        """Hand in, from the thread of a running event loop."""
        return self._bridge.submit(self._add, payload)

    def _add(self, entry: Entry[Taking]) -> None:
        self._waiting.append(entry)
        if self._free:
            self._free -= 1
            # It takes its first step after everything that came with this entry has been added.
            self._bridge.spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                entries, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
                await self._commit(entries)
                resolve(entries)
        finally:
            self._free += 1

    async def _commit(self, entries: Sequence[Entry[Taking]]) -> None:
        try:
            results = await self._apply([entry.payload for entry in entries])
        except BaseException as error:  # noqa: BLE001 - raised at the submitters
            if len(entries) > 1 and self._alone(error):
                for entry in entries:
                    await self._commit([entry])
                return
            results = [error] * len(entries)
        else:
            self._sizes.note(len(entries))
        for entry, result in zip(entries, results, strict=True):
            entry.result = result
