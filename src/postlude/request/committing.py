"""The calls of one request or WebSocket on their way to the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from postlude.calls import Chain
from postlude.errors import StoreUnavailable
from postlude.loops import in_background
from postlude.request.origin import origin
from postlude.request.refusal import not_stored

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from starlette.types import Scope

    from postlude.calls import Call
    from postlude.request.desk import Desk


class Commits:
    """The commits of one exchange: those of its chain one after the other, and beside them those of single calls.

    Args:
        desk: stores the calls, and runs single ones.
        scope: of the request, which is the origin of its calls.
    """

    waiting: Sequence[Call] = ()
    """Calls of the chain that are not known to be committed."""
    committed: Sequence[Call] = ()
    """Calls of the chain that are committed, or have to run without: all that runs when the exchange is over."""
    too_late: bool = False
    """Whatever fails now, the client cannot be told."""
    broken: StoreUnavailable | None = None
    """Why the response is to be broken off: a call that was added while it was sent could not be stored."""
    _chain: Chain | None = None
    _busy: bool = False
    """Somebody commits what waits, or is about to: one commit of the chain at a time."""
    _sealing: bool = False
    _seal_ended: asyncio.Event | None = None
    _under_way: frozenset[asyncio.Task[None]] = frozenset()
    """What commits beside the seal."""
    _running: frozenset[asyncio.Task[None]] = frozenset()
    """What runs single calls."""

    # Defaults live on the class, as with the exchange: most are never touched.
    def __init__(self, desk: Desk, scope: Scope) -> None:
        self._desk = desk
        self._scope = scope

    # The calls of the chain

    def hold(self) -> None:
        """The response is about to start: what is added from now on waits for `seal`."""
        self._busy = True

    async def seal(self, calls: Sequence[Call]) -> None:
        """Commit the first calls of the chain, and what waits already.

        Raises:
            Exception: what the commit raised; the calls still wait.
        """
        # They wait until it is known how the commit went: when this is cancelled meanwhile, `ended` goes on.
        calls = self.waiting = [*self.waiting, *calls] if self.waiting else calls
        if not calls:
            return
        self._sealing = True
        try:
            await self._desk.commit(self._tied(), calls)
        finally:
            self._sealing = False
            if self._seal_ended is not None:
                self._seal_ended.set()
        self._go_on_after(calls, calls)

    def release(self) -> bool:
        """The seal is done: commit what was added meanwhile. Returns whether there is any."""
        self._busy = False
        if self.waiting:
            self._start()
        return self._busy

    def give_up(self) -> Sequence[Call]:
        """Take back what waits."""
        calls, self.waiting = self.waiting, ()
        return calls

    def add(self, calls: Sequence[Call]) -> None:
        """Commit more calls of the chain, behind those that wait."""
        self.waiting = [*self.waiting, *calls]
        if not self._busy:
            self._start()

    async def ended(self) -> None:
        """Return when all that was added is committed, or is known not to be."""
        if self._sealing:
            # Somebody has given up waiting for the answer of the application, and makes another.
            self._seal_ended = self._seal_ended or asyncio.Event()
            await self._seal_ended.wait()
        await self._rest()
        if self.waiting:  # the commit at the seal was cut off
            self._start()
            await self._rest()

    async def _rest(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)  # which does not cancel them when this is cancelled

    def _start(self) -> None:
        self._busy = True
        self._begin(self._commit_waiting())

    async def _commit_waiting(self) -> None:
        """Commit what waits, and what is added meanwhile."""
        self._busy = True
        while calls := self.waiting:
            self._go_on_after(calls, await self._commit(self._tied(), calls))
        self._busy = False

    def _go_on_after(self, calls: Sequence[Call], run: Sequence[Call]) -> None:
        self.committed = [*self.committed, *run] if self.committed else run
        self.waiting = self.waiting[len(calls) :]  # others may have been added behind them

    def _tied(self) -> Chain:
        if self._chain is None:
            self._chain = self._new_chain()
        return self._chain

    # Calls that belong to no chain

    def launch(self, call: Call) -> None:
        """Commit a call by itself, and run it."""
        self._begin(self._commit_and_run(call))

    async def _commit_and_run(self, call: Call) -> None:
        run = await self._commit(self._new_chain(), [call])
        if run:
            task = in_background(self._desk.run(run))
            self._running |= {task}
            task.add_done_callback(self._ran)

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._running -= {task}

    @property
    def left(self) -> frozenset[asyncio.Task[None]]:
        """Some of what still commits or runs, apart from the seal; empty when all of it has ended."""
        return self._under_way or self._running

    # Both

    def _begin(self, commit: Coroutine[Any, Any, None]) -> None:
        task = in_background(commit)
        self._under_way |= {task}
        task.add_done_callback(self._committed_one)

    def _committed_one(self, task: asyncio.Task[None]) -> None:
        self._under_way -= {task}

    async def _commit(self, chain: Chain, calls: Sequence[Call]) -> Sequence[Call]:
        """Commit calls when it is too late for a 503; returns those that will run."""
        try:
            await self._desk.commit(chain, calls)
        except Exception as error:  # noqa: BLE001 - whatever it was, the calls are told of and not forgotten
            if not self.too_late:
                message = "The response is broken off: a task that was added while it was sent could not be stored."
                self.broken = StoreUnavailable(message)
                self.broken.__cause__ = error
                self._desk.discard(calls, not_stored(error))
                return ()
            self._desk.unsaved(calls, error)
        return calls

    def _new_chain(self) -> Chain:
        chain = Chain()
        chain.origin = origin(self._scope)
        return chain
