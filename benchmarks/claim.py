"""What one claim of 100 jobs costs with a thousand waiting and with a million."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import measure_apart
from benchmarks.rounds import Figure, at_most, median, ratios
from postlude.ids import new_job_id
from postlude.job import JobState, NewJob
from postlude.stores import open_store

if TYPE_CHECKING:
    from benchmarks.rounds import Plan
    from postlude.stores.contract import Store

LIMIT = 100
TASK = "benchmarks.chores:nothing_async"
FILL_BATCH = 10_000


def measure(plan: Plan) -> list[Figure]:
    few, many = 1_000, plan.scaled(1_000_000, 20_000)
    claims = plan.scaled(50, 3)
    found = measure_apart("claim", plan.folder, few, many, plan.rounds, claims, timeout=900)
    cost = {depth: [median(each) for each in found["claim"][str(depth)]] for depth in (few, many)}
    turn = {depth: [median(each) for each in found["turn"][str(depth)]] for depth in (few, many)}
    return [
        at_most(f"claim of {LIMIT}, {many:,} waiting ÷ {few:,}", ratios(cost[many], cost[few]), 1.3),
        *(Figure(f"claim of {LIMIT}, {depth:,} waiting", cost[depth], "ms") for depth in (few, many)),
        Figure(f"turn of the worker (look and claim), {many:,} waiting ÷ {few:,}", ratios(turn[many], turn[few])),
        *(Figure(f"turn of the worker, {depth:,} waiting", turn[depth], "ms") for depth in (few, many)),
    ]


async def _both(folder: Path, few: int, many: int, rounds: int, claims: int) -> dict[str, dict[int, list[list[float]]]]:
    depths = [few, many]
    stores = {depth: open_store(f"sqlite:///{folder / f'claim-{depth}.db'}") for depth in depths}
    owners = {}
    for depth, store in stores.items():
        await store.open()
        owners[depth] = await store.enlist()
        for start in range(0, depth, FILL_BATCH):
            await _add(store, min(FILL_BATCH, depth - start))
    claim: dict[int, list[list[float]]] = {depth: [] for depth in depths}
    turn: dict[int, list[list[float]]] = {depth: [] for depth in depths}
    for _ in range(rounds):
        samples = {depth: ([], []) for depth in depths}  # type: dict[int, tuple[list[float], list[float]]]
        for _ in range(claims):
            for depth in depths:
                looked, claimed = await _claim(stores[depth], owners[depth])
                samples[depth][0].append(claimed)
                samples[depth][1].append(looked + claimed)
        for depth in depths:
            claim[depth].append(samples[depth][0])
            turn[depth].append(samples[depth][1])
    for store in stores.values():
        await store.close()
    return {"claim": claim, "turn": turn}


async def _claim(store: Store, owner: int) -> tuple[float, float]:
    """Milliseconds of the look that precedes a claim, and of the claim; as many jobs are added as it took."""
    begin = time.perf_counter()
    names = await store.waiting_tasks()
    looked = time.perf_counter()
    taken = await store.claim(owner=owner, tasks=names, limit=LIMIT, now=time.time(), idle=False)
    claimed = time.perf_counter()
    assert len(taken.claims) == LIMIT
    await _add(store, LIMIT)
    return 1e3 * (looked - begin), 1e3 * (claimed - looked)


async def _add(store: Store, count: int) -> None:
    now = time.time()
    text = '[["user@example.com"],{"message":"some notification"}]'
    await store.insert([NewJob(new_job_id(), TASK, text, JobState.QUEUED, now, now) for _ in range(count)])


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_both(Path(sys.argv[1]), *map(int, sys.argv[2:])))))
