"""PgQueuer, a batch of 100 at a time."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pgqueuer
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, PgQueuer, Queries

from benchmarks.peers import role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BATCH = 100
CALL = json.dumps({"email": role.EMAIL, "message": role.MESSAGE}).encode()


class Peer(role.Peer):
    async def install(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    async def open(self, dsn: str) -> None:
        self._pool = await asyncpg.create_pool(dsn, min_size=2, max_size=10)
        self._queries = Queries(AsyncpgPoolDriver(self._pool))

    async def close(self) -> None:
        await self._pool.close()

    async def enqueue(self) -> None:
        await self._queries.enqueue("noop", CALL)

    async def enqueue_lot(self, size: int) -> None:
        await self._queries.enqueue(["noop"] * size, [CALL] * size, [0] * size)

    async def enqueue_stamp(self) -> None:
        await self._queries.enqueue("stamp", repr(time.monotonic()).encode())

    async def enqueue_sleep(self, seconds: float) -> None:
        await self._queries.enqueue("sleeper", repr(seconds).encode())

    def work(self, dsn: str) -> None:
        @asynccontextmanager
        async def started() -> AsyncIterator[Any]:
            connection = await asyncpg.connect(dsn)
            queuer = PgQueuer(AsyncpgDriver(connection))

            @queuer.entrypoint("noop")
            async def noop(job: Any) -> None:  # noqa: ANN401
                json.loads(job.payload)
                role.noop()

            @queuer.entrypoint("stamp")
            async def stamp(job: Any) -> None:  # noqa: ANN401
                role.note("stamp", float(job.payload))

            @queuer.entrypoint("sleeper")
            async def sleeper(job: Any) -> None:  # noqa: ANN401
                role.note("begun")
                await asyncio.sleep(float(job.payload))

            yield queuer
            await connection.close()

        import uvloop  # noqa: PLC0415

        uvloop.install()
        asyncio.run(pgqueuer.run(started, batch_size=BATCH))


if __name__ == "__main__":
    role.main(Peer())
