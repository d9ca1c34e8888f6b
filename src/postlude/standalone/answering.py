"""`GET /healthz`, answered by a thread of its own: a loop that is blocked is reported, and no probe hangs for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Final

from postlude.errors import PortNotFree

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.standalone.health import Report

PATH: Final = "/healthz"
READ_WITHIN: Final = 5.0
"""Seconds that a client has to send its request, and then to take the answer."""
MOST_AT_ONCE: Final = 32
"""Connections that are answered at a time: each takes a file descriptor, of which the tasks want theirs. One more is
closed at once."""
_MOST: Final = 8192
"""Bytes of a request that are read."""
_REASONS: Final = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Answering:
    """Listens from `start` on, until the process ends.

    Args:
        port: on every address of the machine, since whoever probes a container does it from outside.
        report: says how the worker is.
    """

    def __init__(self, port: int, report: Callable[[], Report]) -> None:
        self._port = port
        self._report = report
        self._open = 0

    def start(self) -> None:
        """Take the port, and answer from now on.

        Raises:
            PortNotFree: somebody else has it, or it is not for everybody.
        """
        try:
            listening = _listen(self._port)
        except OSError as error:
            raise PortNotFree(self._port, error.strerror or str(error)) from error
        threading.Thread(target=self._run, args=[listening], name="postlude-health", daemon=True).start()

    def _run(self, listening: socket.socket) -> None:
        asyncio.run(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        server = await asyncio.start_server(self._answer, sock=listening, limit=_MOST)
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= MOST_AT_ONCE:
            writer.transport.abort()
            return
        self._open += 1
        try:
            await self._answer_one(reader, writer)
        finally:
            self._open -= 1
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whoever does not send a request, or does not want the answer, is let alone.
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            async with asyncio.timeout(READ_WITHIN):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self._response(head))
            async with asyncio.timeout(READ_WITHIN):
                await writer.drain()

    def _response(self, head: bytes) -> bytes:
        method, path, *_ = [*head.decode("latin-1").split(" ", 2), "", ""]
        body: dict[str, object]
        if path.partition("?")[0] != PATH:
            status, body = 404, {"problems": [f"there is only {PATH}"]}
        elif method not in {"GET", "HEAD"}:
            status, body = 405, {"problems": [f"expected GET, got {method}"]}
        else:
            report = self._report()
            status = 200 if report.healthy else 503
            body = {"healthy": report.healthy, "state": report.state, "problems": report.problems}
        text = json.dumps(body).encode() + b"\n"
        lines = [
            f"HTTP/1.1 {status} {_REASONS[status]}",
            "Content-Type: application/json",
            f"Content-Length: {len(text)}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else text)


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        # Where the system has no address of that kind, as in many containers, the other kind is there.
        with contextlib.suppress(OSError):
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))
