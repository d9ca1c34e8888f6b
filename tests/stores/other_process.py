"""A process with a store of its own, which does what it is told: for what only a second process can show."""

import asyncio
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from postlude.clock import SystemClock
from postlude.ids import new_job_id, new_token
from postlude.job import Event, JobState, NewJob
from postlude.limits import Limit, Rate
from postlude.stores.contract import Filter, Store
from tests.stores.making import ended, keyed
from tests.stores.places import await_end, open_place


class OtherProcess:
    """Seen from the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.stores.other_process", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def do(self, what: str, *arguments: Any) -> Any:
        self.begin(what, *arguments)
        return self.result()

    def begin(self, what: str, *arguments: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([what, *arguments]) + "\n")
        self.process.stdin.flush()

    def result(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the other process ended"
        return json.loads(line)

    def kill(self) -> None:
        """End it as hard as it can be ended, and wait until it is gone."""
        self.process.kill()
        self.process.communicate()
        await_end(self.url, self.process.pid)


class Told:
    """Seen from inside."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.owner = 0

    async def enlist(self) -> int:
        self.owner = await self.store.enlist()
        return self.owner

    async def stage(self, count: int) -> list[str]:
        jobs = [
            NewJob(new_job_id(), "app:work", "[]", JobState.STAGED, 1.0, 1.0, owner=self.owner, claim=new_token())
            for _ in range(count)
        ]
        await self.store.insert(jobs)
        return [str(job.id) for job in jobs]

    async def claim(self, limit: int) -> list[str]:
        claimed = await self.store.claim(owner=self.owner, tasks=["app:work"], limit=limit, now=10.0, idle=True)
        return [str(claim.job_id) for claim in claimed.claims]

    async def claim_everything(self) -> list[str]:
        ids: list[str] = []
        while found := await self.claim(7):
            ids += found
        return ids

    async def insert_one_by_one(self, count: int) -> list[str]:
        """As many requests do it, each with a commit of its own."""
        ids = []
        for _ in range(count):
            job = NewJob(new_job_id(), "app:work", "[]", JobState.QUEUED, 1.0, 1.0)
            await self.store.insert([job])
            ids.append(str(job.id))
        return ids

    async def work_within_limits(self, most: int, starts: int, seconds: float, seed: int) -> list[Any]:
        """Until nothing is left: the job, the start as it was recorded, and from when to when it ran for sure."""
        dice = random.Random(seed)
        limits = {"app:work": Limit(most, Rate(starts, seconds))}
        lines: list[Any] = []
        while set(await self.store.count(Filter())) - {JobState.SUCCEEDED}:
            claimed = await self.store.claim(
                owner=self.owner, tasks=["app:work"], limit=3, now=SystemClock().now(), idle=False, limits=limits
            )
            begin = time.monotonic()
            for claim in claimed.claims:
                await self.store.get([claim.job_id])
                event = Event.RELEASE if dice.random() < 0.1 else Event.SUCCEED
                lines.append((str(claim.job_id), claim.started_at, begin, time.monotonic()))
                await self.store.settle([ended(claim, event)])
        return lines

    async def insert_key(self, key: str, count: int) -> list[str]:
        """Add so many jobs with this key, side by side; returns the ids that they lead to."""
        jobs = [keyed(key) for _ in range(count)]
        found = await asyncio.gather(*(self.store.insert([job]) for job in jobs))
        return [str(answered.get(job.id, job.id)) for job, answered in zip(jobs, found, strict=True)]

    async def announce_stop(self) -> None:
        await self.store.announce_stop(self.owner)

    async def speaks_for(self, server: str) -> bool:
        return await self.store.speaks_for(server)

    async def schedules(self) -> list[str]:
        return [row.name for row in await self.store.schedules()]

    async def orphans(self) -> list[str]:
        return [str(claim.job_id) for claim in await self.store.orphans(limit=100)]

    async def state(self, job_id: str) -> str:
        (record,) = await self.store.get([UUID(job_id)])
        return record.state


async def main(url: str) -> None:
    store = open_place(url)
    await store.open()
    told = Told(store)
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(await getattr(told, what)(*arguments)), flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
