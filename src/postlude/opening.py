"""The process that is open here, opened once for all who ask, whatever the thread and the event loop they ask on."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from postlude.loops import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from postlude.process import Process


class Opening:
    """Opens a process when somebody first asks for it, and again after a fork or after it was taken away.

    Args:
        open_process: opens one on the current event loop.
    """

    def __init__(self, open_process: Callable[[], Coroutine[Any, Any, Process]]) -> None:
        self._open_process = open_process
        self._process: Process | None = None
        self._under_way: tuple[int, Future[None]] | None = None
        """The operating system process that opens it, and what ends with that."""
        self._lock = threading.Lock()

    @property
    def here(self) -> Process | None:
        """What is open in this operating system process; None if nothing is."""
        process = self._process
        return process if process is not None and process.pid == os.getpid() else None

    async def process(self) -> Process:
        """What is open here, opened if it is not.

        Raises:
            PostludeError: it cannot be opened. Everybody who waits for it learns that; the next one tries it again.
        """
        while (process := self.here) is None:
            under_way = self._begun()
            if under_way is not None:
                # Shielded: others wait for the same, and a client that disconnects must not end it for them.
                await asyncio.shield(asyncio.wrap_future(under_way))
        return process

    def _begun(self) -> Future[None] | None:
        """The opening that is under way, begun if none is; None if what it was for has been opened meanwhile."""
        with self._lock:
            if self.here is not None:
                return None
            if self._under_way is None or self._under_way[0] != os.getpid():
                self._under_way = (os.getpid(), Future())
                in_background(self._open_process()).add_done_callback(partial(self._ended, self._under_way[1]))
            return self._under_way[1]

    def _ended(self, under_way: Future[None], task: asyncio.Task[Process]) -> None:
        # Only the end of its loop cancels it: whoever waits on another one looks again, and opens it there.
        failed = None if task.cancelled() else task.exception()
        # Both at once: whoever saw neither the process nor that it is being opened would open a second one.
        with self._lock:
            self._under_way = None
            if failed is None and not task.cancelled():
                self._process = task.result()
        if failed is None:
            under_way.set_result(None)
        else:
            under_way.set_exception(failed)

    def take(self, process: Process) -> bool:
        """Have this one be open here no more; False if another thread has taken it, or opened one since."""
        with self._lock:
            ours = self.here is process
            if ours:
                self._process = None
        return ours
