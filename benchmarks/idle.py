"""The CPU that a server without requests uses, with Postlude and without."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.rounds import Figure, at_most
from benchmarks.server import Server

if TYPE_CHECKING:
    from benchmarks.rounds import Plan


def measure(plan: Plan) -> list[Figure]:
    durable, stock = [], []
    for _ in range(plan.rounds):
        name = f"idle-{time.monotonic_ns()}"
        # Side by side: two servers that have nothing to do are not in each other's way.
        with (
            Server(plan.folder / f"{name}.db", plan.folder / f"{name}.log") as with_postlude,
            Server(None, plan.folder / f"{name}-stock.log") as without,
        ):
            with_postlude.post("/async/user@example.com")
            time.sleep(plan.seconds(1.0, 0.1))
            before = [server.get("/cpu")["seconds"] for server in (with_postlude, without)]
            begin = time.monotonic()
            time.sleep(plan.seconds(20.0, 1.0))
            took = time.monotonic() - begin
            after = [server.get("/cpu")["seconds"] for server in (with_postlude, without)]
            durable.append(100 * (after[0] - before[0]) / took)
            stock.append(100 * (after[1] - before[1]) / took)
    return [
        at_most("idle, durable", durable, 0.5, "% of a core"),
        Figure("idle, stock", stock, "% of a core"),
    ]
