"""Procrastinate, thirty at a time."""

from __future__ import annotations

import asyncio
import time

import procrastinate

from benchmarks.peers import role

CONCURRENCY = 30


class Peer(role.Peer):
    def _app(self, dsn: str) -> procrastinate.App:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn))

        @app.task(name="noop")
        async def noop(email: str, message: str = "") -> None:  # noqa: ARG001
            role.noop()

        @app.task(name="stamp")
        async def stamp(moment: float) -> None:
            role.note("stamp", moment)

        @app.task(name="sleeper")
        async def sleeper(seconds: float) -> None:
            role.note("begun")
            await asyncio.sleep(seconds)

        self._noop, self._stamp, self._sleeper = noop, stamp, sleeper
        return app

    async def install(self, dsn: str) -> None:
        app = self._app(dsn)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self, dsn: str) -> None:
        self._opened = self._app(dsn)
        await self._opened.open_async()

    async def close(self) -> None:
        await self._opened.close_async()

    async def enqueue(self) -> None:
        await self._noop.defer_async(email=role.EMAIL, message=role.MESSAGE)

    async def enqueue_lot(self, size: int) -> None:
        await self._noop.batch_defer_async(*[{"email": role.EMAIL, "message": role.MESSAGE} for _ in range(size)])

    async def enqueue_stamp(self) -> None:
        await self._stamp.defer_async(moment=time.monotonic())

    async def enqueue_sleep(self, seconds: float) -> None:
        await self._sleeper.defer_async(seconds=seconds)

    def work(self, dsn: str) -> None:
        app = self._app(dsn)

        async def go() -> None:
            async with app.open_async():
                await app.run_worker_async(concurrency=CONCURRENCY)

        asyncio.run(go())


if __name__ == "__main__":
    role.main(Peer())
