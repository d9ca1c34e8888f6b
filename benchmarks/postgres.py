"""Postlude on PostgreSQL: what is enqueued and drained a second, how soon it starts, and what a job costs the server.

Beside its peers on the same server, in the same run, where POSTLUDE_PEERS says where they are installed, or `install`.
The server, the workers and the producers share the cores of the machine.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.machine import CannotRun, percentile
from benchmarks.players import OURS, place, players
from benchmarks.rounds import Figure, column, interleaved, ratios
from benchmarks.servers import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.players import Place, Player
    from benchmarks.rounds import Plan
    from benchmarks.servers import Server

LOT = 1_000
PAUSE = 0.05
FEW = 0.05
"""Which share of the jobs is enough for a peer that takes long for each."""
SECONDS = 5.0
"""Of the task that is cut off."""
WITHIN = 15.0
"""Seconds in which it has to begin again elsewhere; a peer that takes longer is given up."""

Sample = dict[str, float]


class Case(NamedTuple):
    """One thing that is measured of every player."""

    name: str
    measure: str
    unit: str
    take: Callable[[Place, Plan], Sample]
    more_is_better: bool = True


def measure(plan: Plan) -> list[Figure]:
    with postgres(plan.folder) as server:
        print(f"  PostgreSQL {server.version()}", flush=True)
        found = players(plan.folder)
        return [figure for case in CASES for figure in _figures(case, found, server, plan)]


def _figures(case: Case, found: Mapping[Player, str], server: Server, plan: Plan) -> list[Figure]:
    take = partial(_take, case, found, server, plan)
    samples = interleaved(list(found), plan.rounds, take)
    measured = {player: column(some, case.measure) for player, some in samples.items() if all(some)}
    figures = [Figure(f"{case.name}, {player.name}", some, case.unit) for player, some in measured.items()]
    figures += _costs(case, samples[OURS])
    return [*figures, *_compared(case, measured)]


def _take(case: Case, found: Mapping[Player, str], server: Server, plan: Plan, player: Player) -> Sample:
    """One sample; an empty one of a peer that could not do it."""
    here = place(player, found[player], server, plan.folder)
    try:
        return case.take(here, plan)
    except CannotRun as error:
        if player is OURS:
            raise
        print(f"  {case.name}, {player.name}: {str(error).splitlines()[-1]}", flush=True)
        return {}


def _compared(case: Case, measured: Mapping[Player, list[float]]) -> list[Figure]:
    best = max if case.more_is_better else min
    others = [some for player, some in measured.items() if player is not OURS]
    if not others:
        return []
    of_others = [best(round_) for round_ in zip(*others, strict=True)]
    above, below = (measured[OURS], of_others) if case.more_is_better else (of_others, measured[OURS])
    return [Figure(f"{case.name}, Postlude against the best of the others", ratios(above, below), "times")]


def _costs(case: Case, samples: Sequence[Sample]) -> list[Figure]:
    names = {"cpu_us": "CPU of the client", "server_us": "CPU of the server", "wal": "WAL", "commits": "commits"}
    units = {"cpu_us": "µs a job", "server_us": "µs a job", "wal": "bytes a job", "commits": "a job"}
    return [
        Figure(f"{case.name}, {text}", column(samples, name), units[name])
        for name, text in names.items()
        if name in samples[0]
    ]


def _spending(here: Place, count: int, act: Callable[[], Sample]) -> Sample:
    """What the act has measured, with what it has cost the server for each job."""
    before = here.server.spent()
    sample = act()
    spent = here.server.spent().since(before)
    costs = {"server_us": 1e6 * spent.cpu / count, "wal": spent.wal / count, "commits": spent.commits / count}
    return sample | costs


def _count(here: Place, plan: Plan, full: int, smoke: int) -> int:
    count = plan.scaled(full, smoke)
    return max(LOT, int(count * FEW) // LOT * LOT) if here.player.slow else count


def _producers(here: Place, plan: Plan) -> Sample:
    count = _count(here, plan, 5_000, 1_000)
    return _spending(here, count, lambda: here.play("produce", count))


def _bulk(here: Place, plan: Plan) -> Sample:
    count = _count(here, plan, 50_000, 2_000)
    return _spending(here, count, lambda: here.play("bulk", count, LOT))


def _drain(here: Place, plan: Plan, workers: int) -> Sample:
    count = _count(here, plan, 50_000, 2_000)
    here.play("bulk", count, LOT)

    def drain() -> Sample:
        with here.workers(workers):
            began = here.await_notes("first", 1, 60)
            if began is None:
                message = "no task began within 60 s"
                raise CannotRun(message)
            return {"per_second": count / (here.await_empty(600) - began[0].at)}

    return _spending(here, count, drain)


def _latency(here: Place, plan: Plan) -> Sample:
    count = plan.scaled(100, 5)
    with here.workers(1):
        here.play("stamp", 3, 0)
        here.await_notes("stamp", 3, 30)
        costs = _spending(here, count, lambda: here.play("stamp", count, PAUSE))
        lines = here.await_notes("stamp", 3 + count, 30)
    if lines is None:
        message = f"not all of {count} tasks began within 30 s"
        raise CannotRun(message)
    delays = [1e3 * line.delay for line in lines[3:]]
    return {"p50": percentile(delays, 0.5), "p99": percentile(delays, 0.99)} | costs


def _recovery(here: Place, plan: Plan) -> Sample:
    with here.workers(2) as processes:
        here.play("sleep", plan.seconds(SECONDS, 3.0))
        began = here.await_notes("begun", 1, 30)
        if began is None:
            message = "the task did not begin within 30 s"
            raise CannotRun(message)
        (killed,) = [process for process in processes if process.pid == began[0].process]
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        again = here.await_notes("begun", 2, WITHIN)
    if again is None:
        message = f"the task did not begin again within {WITHIN:g} s"
        raise CannotRun(message)
    return {"seconds": again[1].at - began[0].at}


CASES = (
    Case("enqueue, 64 producers", "per_second", "jobs/s", _producers),
    Case("enqueue, in lots of 1,000", "per_second", "jobs/s", _bulk),
    Case("drain, one worker process", "per_second", "jobs/s", partial(_drain, workers=1)),
    Case("drain, four worker processes", "per_second", "jobs/s", partial(_drain, workers=4)),
    Case("enqueued to started, between processes, p50", "p50", "ms", _latency, more_is_better=False),
    Case("SIGKILL of a worker to running elsewhere", "seconds", "s", _recovery, more_is_better=False),
)
