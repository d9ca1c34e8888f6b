"""The connection that reads, and the thread that owns it: it waits for no writer, and no writer waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.stores.sqlite.connection import UNAVAILABLE, connect, disconnect, unavailable
from postlude.stores.sqlite.lane import Caught, Entry, Lane

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from apsw import Connection

    from postlude.stores.sqlite.lane import Operation


class Reader:
    """Reads what is submitted, one after the other."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path = path
        self._vfs = vfs
        self._connection: Connection | None = None
        self._lane = Lane(f"postlude-reader {path.name}", self._process, self._finish)
        self.submit: Callable[[Operation, object], asyncio.Future[Any]] = self._lane.submit
        self.stop: Callable[[], Coroutine[Any, Any, None]] = self._lane.stop

    def _process(self, entries: list[Entry]) -> None:
        for entry in entries:
            with Caught() as caught:
                (entry.result,) = entry.operation(self._connected(), [entry.payload])
            if isinstance(caught.error, UNAVAILABLE):
                entry.result = unavailable(self._path, caught.error, did="answer")
                entry.result.__cause__ = caught.error
                self._finish()
            elif caught.error is not None:
                entry.result = caught.error

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self._path, vfs=self._vfs, read_only=True)
        return self._connection

    def _finish(self) -> None:
        if self._connection is not None:
            disconnect(self._connection)
            self._connection = None
