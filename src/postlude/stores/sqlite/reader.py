"""The connection that reads, and the thread that owns it: it waits for no writer, and no writer waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.stores.sqlite.access import Access
from postlude.stores.sqlite.connection import UNAVAILABLE, unavailable
from postlude.stores.sqlite.forks import Gate
from postlude.stores.sqlite.thread import Caught, DatabaseThread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from postlude.stores.entries import Entry
    from postlude.stores.sqlite.thread import Operation


class Reader:
    """Reads what is submitted, one after the other."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path = path
        self._access = Access(path, vfs=vfs, read_only=True)
        gate = Gate(self._access.close, last=False)
        self._thread = DatabaseThread(f"postlude-reader {path.name}", self._process, self._access.close, gate)
        self.submit: Callable[[Operation, object], asyncio.Future[Any]] = self._thread.submit
        self.stop: Callable[[], Coroutine[Any, Any, None]] = self._thread.stop

    def _process(self, entries: list[Entry[Operation]]) -> None:
        for entry in entries:
            with Caught() as caught:
                (entry.result,) = entry.operation(self._access.connection(), [entry.payload])
            if isinstance(caught.error, UNAVAILABLE):
                entry.result = unavailable(self._path, caught.error, did="answer")
                entry.result.__cause__ = caught.error
                self._access.close()
            elif caught.error is not None:
                entry.result = caught.error
