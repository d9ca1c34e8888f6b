"""The process that is open here, opened once for all who ask, whatever the thread and the event loop they ask on."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from postlude.loops import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from postlude.lifetime.process import Process

LOOK_AGAIN: Final = 0.25
"""Seconds between two looks at whether the loop on which it is opened is still there: nothing tells of its end."""


class _UnderWay(NamedTuple):
    """An opening that has begun."""

    pid: int
    """The operating system process that opens it."""
    loop: asyncio.AbstractEventLoop
    ended: Future[BaseException | None]
    """Why it could not be opened; None if it was, or if its loop has ended before."""

    @property
    def stale(self) -> bool:
        """Whether nobody is left to go on with it: a loop may be closed with what runs on it."""
        return self.pid != os.getpid() or self.loop.is_closed()


class Opening:
    """Opens a process when somebody first asks for it, and again after a fork or after it was taken away.

    Args:
        open_process: opens one on the current event loop.
    """

    def __init__(self, open_process: Callable[[], Coroutine[Any, Any, Process]]) -> None:
        self._open_process = open_process
        self.opened: Callable[[Process], object] = lambda _: None
        """Told of each process that is opened, before anybody has it."""
        self._process: Process | None = None
        self._under_way: _UnderWay | None = None

    lock: ClassVar[threading.Lock] = threading.Lock()
    """One for all: it is held for a moment, and the child of a fork has one to renew."""

    @property
    def here(self) -> Process | None:
        """What is open in this operating system process; None if nothing is."""
        process = self._process
        return process if process is not None and process.pid == os.getpid() else None

    @property
    def on_this_loop(self) -> Process | None:
        """What is open here, if its worker runs on the current event loop; None if it does not, or nothing is open."""
        # Without a question for the operating system's process, which is a call of the system: no loop outlives a fork.
        process = self._process
        return process if process is not None and process.running_here else None

    async def process(self) -> Process:
        """What is open here, opened if it is not.

        Raises:
            PostludeError: it cannot be opened. Everybody who waits for it learns that; the next one tries it again.
        """
        while (process := self.here) is None:
            under_way = self._begun()
            if under_way is not None:
                await self._end_of(under_way)
        return process

    async def _end_of(self, under_way: _UnderWay) -> None:
        """Return when it has ended, or nobody is left to end it; raise why it could not be opened."""
        ended = asyncio.wrap_future(under_way.ended)
        while not under_way.stale:
            # It is not cancelled with this: others wait for the same, and a client may disconnect.
            await asyncio.wait({ended}, timeout=LOOK_AGAIN)
            if ended.done():
                if (failed := ended.result()) is not None:
                    raise failed
                return

    def _begun(self) -> _UnderWay | None:
        """The opening that is under way, begun if none is; None if what it was for has been opened meanwhile."""
        with self.lock:
            if self.here is not None:
                return None
            if self._under_way is None or self._under_way.stale:
                self._under_way = _UnderWay(os.getpid(), asyncio.get_running_loop(), Future())
                in_background(self._open_process()).add_done_callback(partial(self._ended, self._under_way))
            return self._under_way

    def _ended(self, under_way: _UnderWay, task: asyncio.Task[Process]) -> None:
        # Only the end of its loop cancels it: whoever waits on another one looks again, and opens it there.
        failed = None if task.cancelled() else task.exception()
        # Both at once: whoever saw neither the process nor that it is being opened would open a second one.
        with self.lock:
            if self._under_way is under_way:  # and not one that was begun in its place
                self._under_way = None
                if failed is None and not task.cancelled():
                    self.opened(task.result())
                    self._process = task.result()
        under_way.ended.set_result(failed)

    def take(self, process: Process) -> bool:
        """Have this one be open here no more; False if another thread has taken it, or opened one since."""
        with self.lock:
            ours = self.here is process
            if ours:
                self._process = None
        return ours


def _renew_lock() -> None:
    """In the child of a fork nobody would let go of a lock that another thread of the parent had."""
    Opening.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
