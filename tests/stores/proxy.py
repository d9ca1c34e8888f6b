"""A network between a process and its database that can be broken in all the ways in which networks break."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self


class Link:
    """One connection that goes through."""

    def __init__(self, here: asyncio.StreamWriter, there: asyncio.StreamWriter) -> None:
        self.ends = here, there
        self.dropped = False


class Proxy:
    """Takes TCP connections, and carries them on to the Unix socket of a server; runs in a thread of its own."""

    def __init__(self, target: str) -> None:
        self.target = target
        """The path of the socket to which new connections go."""
        self.port = 0
        self.links: list[Link] = []
        self._flows = asyncio.Event()
        self._flows.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._on_loop(self._listen)
        return self

    def __exit__(self, *_: object) -> None:
        self._on_loop(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def dsn(self) -> str:
        return f"postgresql://postlude@127.0.0.1:{self.port}/postgres"

    # What goes wrong

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        self._on_loop(self._cut)

    def stall(self) -> None:
        """From now on nothing comes through, in either direction, and nobody learns of it; of new connections, too."""
        self._on_loop(self._stall)

    def go_on(self) -> None:
        """Let come through what was held up."""
        self._on_loop(self._go_on)

    def drop(self) -> None:
        """Nothing of the connections that are open now ever arrives any more, not even their end. New ones are fine."""
        self._on_loop(self._drop)

    # On the thread

    def _on_loop(self, what: Callable[[], Any]) -> None:
        async def called() -> None:
            await what()

        done: Future[None] = asyncio.run_coroutine_threadsafe(called(), self._loop)
        done.result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flows.wait()
        try:
            back, forth = await asyncio.open_unix_connection(self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, forth)
        self.links.append(link)
        await asyncio.gather(self._pump(link, reader, forth), self._pump(link, back, writer))
        if link in self.links and not link.dropped:
            self.links.remove(link)

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                if not link.dropped:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        await self._flows.wait()
        if not link.dropped:
            writer.close()

    async def _cut(self) -> None:
        for link in self.links:
            for end in link.ends:
                if end.transport.is_closing():
                    continue
                wire: socket.socket = end.get_extra_info("socket")
                if wire.family != socket.AF_UNIX:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()
        self.links.clear()

    async def _stall(self) -> None:
        self._flows.clear()

    async def _go_on(self) -> None:
        self._flows.set()

    async def _drop(self) -> None:
        for link in self.links:
            link.dropped = True

    async def _end(self) -> None:
        self._server.close()
        self._flows.set()
        for link in self.links:
            link.dropped = True
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=5)
