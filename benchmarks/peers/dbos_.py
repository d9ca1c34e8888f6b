"""DBOS: a client enqueues, a process that has launched it runs."""

from __future__ import annotations

import asyncio
import threading
import time

from dbos import DBOS, DBOSClient

from benchmarks.peers import role


@DBOS.workflow(name="noop")
async def noop(email: str, message: str = "") -> None:  # noqa: ARG001
    role.noop()


@DBOS.workflow(name="stamp")
async def stamp(moment: float) -> None:
    role.note("stamp", moment)


@DBOS.workflow(name="sleeper")
async def sleeper(seconds: float) -> None:
    role.note("begun")
    await asyncio.sleep(seconds)


def _url(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://")


def _launch(dsn: str) -> None:
    url = _url(dsn)
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "application_version": "1"})
    DBOS.launch()
    # It refuses to do this under a running loop.
    thread = threading.Thread(target=lambda: DBOS.register_queue("bench"))
    thread.start()
    thread.join()


class Peer(role.Peer):
    async def install(self, dsn: str) -> None:
        _launch(dsn)
        DBOS.destroy()

    async def open(self, dsn: str) -> None:
        self._client = DBOSClient(system_database_url=_url(dsn))

    async def close(self) -> None:
        self._client.destroy()

    async def enqueue(self) -> None:
        await self._enqueue("noop", role.EMAIL, role.MESSAGE)

    async def enqueue_lot(self, size: int) -> None:
        await asyncio.gather(*(self.enqueue() for _ in range(size)))

    async def enqueue_stamp(self) -> None:
        await self._enqueue("stamp", time.monotonic())

    async def enqueue_sleep(self, seconds: float) -> None:
        await self._enqueue("sleeper", seconds)

    async def _enqueue(self, name: str, *arguments: object) -> None:
        await self._client.enqueue_async({"queue_name": "bench", "workflow_name": name}, *arguments)

    def work(self, dsn: str) -> None:
        _launch(dsn)
        threading.Event().wait()


if __name__ == "__main__":
    role.main(Peer())
