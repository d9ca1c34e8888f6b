"""What a queue on PostgreSQL is asked to do, whichever it is: `python -m benchmarks.peers.NAME ROLE ARGUMENTS`.

    install DSN                 make the schema
    produce DSN COUNT           64 producers, each waits for its own
    bulk DSN COUNT SIZE         in lots of that size, one after the other
    stamp DSN COUNT PAUSE       one at a time, with the moment in it
    sleep DSN SECONDS           one job that takes its time
    work DSN DIARY              run jobs until the process is told to end

Only what every environment of a peer has is imported here.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCERS = 64
EMAIL, MESSAGE = "user@example.com", "some notification"

_diary = -1
_begun = False


def open_diary(file: str) -> None:
    """Where the tasks of this process note what has to be known."""
    global _diary  # noqa: PLW0603 - one for one process
    _diary = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def noop() -> None:
    """The task that does nothing, but for a line when the first of this process begins."""
    global _begun  # noqa: PLW0603
    if not _begun:
        _begun = True
        note("first")


def note(what: str, moment: float | None = None) -> None:
    """A line: what, when by a clock that all processes of the machine share, in which process."""
    now = time.monotonic()
    os.write(_diary, f"{what} {now} {now if moment is None else now - moment} {os.getpid()}\n".encode())


class Peer:
    """One of the queues."""

    async def install(self, dsn: str) -> None:
        raise NotImplementedError

    async def open(self, dsn: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def enqueue(self) -> None:
        raise NotImplementedError

    async def enqueue_lot(self, size: int) -> None:
        raise NotImplementedError

    async def enqueue_stamp(self) -> None:
        raise NotImplementedError

    async def enqueue_sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def work(self, dsn: str) -> None:
        raise NotImplementedError


async def _play(peer: Peer, role: str, dsn: str, arguments: list[str]) -> dict[str, float]:
    if role == "install":
        await peer.install(dsn)
        return {}
    await peer.open(dsn)
    try:
        measured: dict[str, float] = await _ROLES[role](peer, *map(float, arguments))
    finally:
        await peer.close()
    return measured


async def _produce(peer: Peer, count: float) -> dict[str, float]:
    left = iter(range(int(count)))

    async def producer() -> None:
        for _ in left:
            await peer.enqueue()

    await asyncio.gather(*(peer.enqueue() for _ in range(PRODUCERS)))  # connections, prepared statements
    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
    took, used = time.perf_counter() - begin, time.process_time() - cpu
    return {"per_second": count / took, "cpu_us": 1e6 * used / count}


async def _bulk(peer: Peer, count: float, size: float) -> dict[str, float]:
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(int(count / size)):
        await peer.enqueue_lot(int(size))
    took, used = time.perf_counter() - begin, time.process_time() - cpu
    return {"per_second": count / took, "cpu_us": 1e6 * used / count}


async def _stamp(peer: Peer, count: float, pause: float) -> dict[str, float]:
    for _ in range(int(count)):
        await peer.enqueue_stamp()
        await asyncio.sleep(pause)
    return {}


async def _sleep(peer: Peer, seconds: float) -> dict[str, float]:
    await peer.enqueue_sleep(seconds)
    return {}


_ROLES: dict[str, Callable[..., Any]] = {"produce": _produce, "bulk": _bulk, "stamp": _stamp, "sleep": _sleep}


def main(peer: Peer) -> None:
    role, dsn, *arguments = sys.argv[1:]
    if role == "work":
        open_diary(arguments[0])
        peer.work(dsn)
        return
    import uvloop  # noqa: PLC0415 - a worker says itself which loop it wants

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_play(peer, role, dsn, arguments))))
