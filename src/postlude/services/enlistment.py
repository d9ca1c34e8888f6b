"""Which worker this process is: one from its opening on, and another one after others have given it up for dead.

A process that was stopped for longer than its lease, or cut off, has lost what it ran: others run that again, and none
of its outcomes is taken. It must learn of that, and go on under a new id.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final

from postlude.errors import StoreError
from postlude.events import StoreFailed, WorkerReplaced
from postlude.loops import in_background

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.stores.contract import Store
    from postlude.telling import Events

WAIT_FOR: Final = 2.0
"""Seconds that whoever needs the new id waits at most for somebody else who is about to get it."""


class _Term:
    """The time of one id; known before the id is."""

    over = False
    """Whether it was given up for dead."""


class Enlistment:
    """Enlists this process in one opened store, as often as it has to.

    Args:
        store: opened.
        events: told when it had to.
    """

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self.owner: int = 0
        """The id under which this process owns jobs."""
        self._term = _Term()
        """What is known of that id."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called on any thread when it was."""
        self.on_replaced: Callable[[int, int], None] = lambda *_: None
        """Called with the old id and the new one."""
        self._guard = threading.Lock()
        self._under_way: Future[None] | None = None

    async def begin(self) -> None:
        """Be a worker.

        Raises:
            StoreError: the store does not take it.
        """
        self.owner = await self._enlist(self._term)

    async def _enlist(self, term: _Term) -> int:
        return await self._store.enlist(given_up=partial(self._given_up, term))

    @property
    def lost(self) -> bool:
        """Whether it was given up for dead, and there is no other yet."""
        return self._term.over

    def _given_up(self, term: _Term) -> None:
        term.over = True
        if term is self._term:
            self.on_lost()

    async def run_once(self) -> float | None:
        """Be another worker if that is due; to be woken when it is.

        Raises:
            StoreError: the store does not take it.
        """
        if self.lost:
            await self.replace()
        return None

    async def replace(self) -> None:
        """Be another worker; returns when that is so, whoever does it, on whatever loop.

        Raises:
            StoreError: the store does not take it.
        """
        with self._guard:
            if not self.lost:
                return
            others, ours = self._under_way, Future[None]()
            if others is None:
                self._under_way = ours
        if others is not None:
            await asyncio.wait({asyncio.wrap_future(others)}, timeout=WAIT_FOR)
            return
        # Whoever asked may be cancelled: an id that was enlisted and is not known here would be held for ever.
        await asyncio.shield(in_background(self._replace(ours)))

    async def _replace(self, done: Future[None]) -> None:
        try:
            await self._be_another()
        finally:
            self._under_way = None
            done.set_result(None)

    async def _be_another(self) -> None:
        old, term = self.owner, _Term()
        self.owner = await self._enlist(term)
        self._term = term
        self._events.emit(WorkerReplaced(old, self.owner))
        self.on_replaced(old, self.owner)
        if term.over:
            # It was given up, too, before this went on: whoever stands still does so anywhere.
            self.on_lost()
        try:
            await self._store.dismiss(old)
        except StoreError as error:
            # Its row is buried by others as soon as it owns nothing.
            self._events.emit(StoreFailed("leaving as the worker that was given up for dead", str(error)))
