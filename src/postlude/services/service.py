"""The one loop there is: wait until woken or until it is time, then call `run_once()`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from postlude.clock import wait
from postlude.errors import StoreUnavailable
from postlude.events import ServiceFailed, StoreFailed, StoreRecovered
from postlude.executors.contract import failure_of

if TYPE_CHECKING:
    from postlude.telling import Events

RETRY_AFTER = 1.0
"""Seconds until a service that failed tries again."""


class Turn(Protocol):
    """What a service does, again and again."""

    async def run_once(self) -> float | None:
        """Do what there is to do now; returns the seconds after which to look again, None: only when woken."""
        ...


class Service:
    """Runs a turn whenever it is woken or its time has come, from `start` to `stop`.

    A turn that raises is reported and tried again; it never ends the service.
    """

    def __init__(self, name: str, turn: Turn, events: Events) -> None:
        self.name = name
        self._turn = turn
        self._events = events
        self._wake: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failing = False
        self.done: int = 0
        """How many turns were taken to their end."""

    def start(self) -> None:
        """Begin, on the running loop."""
        self._stopping = False
        self._wake = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"postlude {self.name}")

    def wake(self) -> None:
        """Take the next turn now. Callable before `start` and after `stop`, when it does nothing."""
        if self._wake is not None:
            self._wake.set()

    async def stop(self) -> None:
        """End after the turn under way; idempotent, and fine before `start`. Returns when it has ended."""
        self._stopping = True
        self.wake()
        task, self._task = self._task, None
        if task is not None:
            await task
        self._wake = None

    async def _run(self) -> None:
        wake = self._wake
        while wake is not None and not self._stopping:
            wake.clear()
            delay = await self._take_turn()
            await wait(wake, delay)

    async def _take_turn(self) -> float | None:
        try:
            delay = await self._turn.run_once()
        except StoreUnavailable as error:
            if not self._failing:
                self._failing = True
                self._events.emit(StoreFailed(self.name, str(error)))
            return RETRY_AFTER
        except Exception as error:  # noqa: BLE001 - reported, and the service goes on: nobody else would do its work
            self._events.emit(ServiceFailed(self.name, failure_of(error)))
            return RETRY_AFTER
        self.done += 1
        if self._failing:
            self._failing = False
            self._events.emit(StoreRecovered(self.name))
        return delay
