"""The way between a process and its child: one JSON object a line, in both directions. Never pickle."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_CHUNK = 65_536


class Wire:
    """One end of a pair of sockets. Any thread may send; one thread receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._received = bytearray()
        self._sending = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send it; waits while the other side does not read.

        Raises:
            OSError: the other side is gone.
        """
        line = json.dumps(message, default=str).encode() + b"\n"
        with self._sending:
            self._end.settimeout(None)
            self._end.sendall(line)

    def receive(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next message; None: the other side has closed its end.

        Args:
            timeout: seconds; None: as long as it takes, and for whoever sends from another thread.

        Raises:
            TimeoutError: none came in time.
        """
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if timeout is not None:
                self._end.settimeout(timeout)
            try:
                chunk = self._end.recv(_CHUNK)
            except ConnectionResetError:  # it was killed before it had read everything
                return None
            if not chunk:
                return None
            self._received += chunk
        message: dict[str, Any] = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message

    def close(self) -> None:
        """Let the other side know that nothing more comes. Idempotent."""
        self._end.close()
