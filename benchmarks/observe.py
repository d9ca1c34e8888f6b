"""What it costs a request to be observed: FastAPI's own background tasks as they are, and with a record beside them.

One process on one core, its load on another.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.http import CONNECTIONS
from benchmarks.machine import LOAD_CORE, SERVER_CORE, CannotRun, measure_apart
from benchmarks.rounds import Figure, at_least, column, interleaved, ratios
from benchmarks.server import Server
from postlude.stock.audit import audit
from postlude.stock.files import folder_of
from postlude.stock.record import Fate

if TYPE_CHECKING:
    from benchmarks.rounds import Plan


class Case(NamedTuple):
    kind: str
    """"async" or "def": what the task is."""
    observed: bool

    @property
    def name(self) -> str:
        return f"observe {self.kind}, {'observed' if self.observed else 'stock'}"


def measure(plan: Plan) -> list[Figure]:
    cases = [Case(kind, observed) for kind in ("async", "def") for observed in (False, True)]
    found = interleaved(cases, plan.rounds, lambda case: _take(case, plan))
    figures = []
    for kind in ("async", "def"):
        stock, observed = found[Case(kind, observed=False)], found[Case(kind, observed=True)]
        by_round = ratios(column(observed, "per_second"), column(stock, "per_second"))
        figures.append(at_least(f"observe {kind}, observed ÷ stock", by_round, 0.75))
        for case in (Case(kind, observed=False), Case(kind, observed=True)):
            samples = found[case]
            figures += [
                Figure(case.name, column(samples, "per_second"), "requests/s"),
                Figure(f"{case.name}, p99", column(samples, "p99_ms"), "ms"),
                Figure(f"{case.name}, CPU of the server", column(samples, "cpu_us"), "µs a request"),
            ]
    return figures


def _take(case: Case, plan: Plan) -> dict[str, float]:
    name = f"observe-{case.kind}-{time.monotonic_ns()}"
    store = plan.folder / f"{name}.db" if case.observed else None
    log = plan.folder / f"{name}.log"
    with Server(store, log, core=SERVER_CORE, observed=case.observed) as server:
        path = f"/{case.kind}/user@example.com"
        warm = measure_apart("load", server.port, path, CONNECTIONS, plan.seconds(1.0, 0.1), core=LOAD_CORE)
        before = server.get("/cpu")["seconds"]
        sample: dict[str, float] = measure_apart(
            "load", server.port, path, CONNECTIONS, plan.seconds(6.0, 0.5), core=LOAD_CORE
        )
        sample["cpu_us"] = 1e6 * (server.get("/cpu")["seconds"] - before) / max(1, sample["acknowledged"])
    if store is not None:
        answered = warm["acknowledged"] + sample["acknowledged"]
        found = audit(folder_of(f"sqlite:///{store}"))
        if found is None or found.count(Fate.SUCCEEDED) != answered:
            message = f"{answered} requests were answered, and the record says {found}"
            raise CannotRun(message)
    return sample
