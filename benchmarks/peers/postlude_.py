"""Postlude itself."""

from __future__ import annotations

import asyncio
import signal
import time

import uvloop
from fastapi import FastAPI

from benchmarks.drain import running
from benchmarks.peers import role
from postlude import Postlude


async def noop(email: str, message: str = "") -> None:  # noqa: ARG001 - to be stored as well
    role.noop()


async def stamp(moment: float) -> None:
    role.note("stamp", moment)


async def sleeper(seconds: float) -> None:
    role.note("begun")
    await asyncio.sleep(seconds)


class Peer(role.Peer):
    async def install(self, dsn: str) -> None:
        await self.open(dsn)
        await self._durable.enqueue(noop, role.EMAIL)
        await self.close()

    async def open(self, dsn: str) -> None:
        self._durable = Postlude(url=dsn, worker="off")

    async def close(self) -> None:
        await self._durable.close()

    async def enqueue(self) -> None:
        await self._durable.enqueue(noop, role.EMAIL, message=role.MESSAGE)

    async def enqueue_lot(self, size: int) -> None:
        await self._durable.enqueue_many(noop, [(role.EMAIL, role.MESSAGE)] * size)

    async def enqueue_stamp(self) -> None:
        await self._durable.enqueue(stamp, time.monotonic())

    async def enqueue_sleep(self, seconds: float) -> None:
        await self._durable.enqueue(sleeper, seconds)

    def work(self, dsn: str) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(dsn))


async def _work(dsn: str) -> None:
    app = FastAPI()
    Postlude(app, url=dsn)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with running(app):
        await ended.wait()


if __name__ == "__main__":
    import benchmarks.peers.postlude_ as itself  # under its own name, so that its tasks are found

    role.main(itself.Peer())
