"""What is not used must cost nothing: this code beside an older one, given by POSTLUDE_AGAINST, in one run.

POSTLUDE_AGAINST names a checkout of the older code; nothing of it is needed but its `src`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import drain, enqueue, http
from benchmarks.machine import CannotRun, busy_beside
from benchmarks.rounds import Figure, at_most, column, interleaved, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.rounds import Plan

AGAINST: Final = "POSTLUDE_AGAINST"
MOST: Final = 1.05
"""What the newer code may take at most, as a multiple of what the older one takes."""


class Case(NamedTuple):
    name: str
    measured: str
    """The measure in the sample: CPU, which noise moves less than the time."""
    take: Callable[[Plan], dict[str, float]]


CASES: Final = (
    Case("a request with an async task", "cpu_us", lambda plan: http.take(http.Case("async", durable=True), plan)),
    Case("a request with a def task", "cpu_us", lambda plan: http.take(http.Case("def", durable=True), plan)),
    Case("enqueue", "cpu_us", lambda plan: enqueue.take("enqueue", plan, plan.scaled(50_000, 2_000))),
    Case("drain of async tasks", "cpu_us", lambda plan: drain.take("async", plan, plan.scaled(100_000, 2_000))),
    Case("drain of def tasks", "cpu_us", lambda plan: drain.take("def", plan, plan.scaled(50_000, 2_000))),
)


def measure(plan: Plan) -> list[Figure]:
    older = os.environ.get(AGAINST)
    if older is None and plan.smoke:
        older = str(Path(__file__).parents[1])  # beside itself: does it still run?
    if older is None or not (Path(older) / "src" / "postlude").is_dir():
        message = f"{AGAINST}: expected a checkout of the code to compare with, got {older!r}"
        raise CannotRun(message)
    figures = []
    for case in CASES:
        with busy_beside():
            found = interleaved([older, None], plan.rounds, partial(_take, case, plan))
        before, after = column(found[older], case.measured), column(found[None], case.measured)
        figures += [
            at_most(f"{case.name}, this ÷ the older, CPU", ratios(after, before), MOST),
            Figure(f"{case.name}, the older", before, "µs"),
            Figure(f"{case.name}, this", after, "µs"),
        ]
    return figures


def _take(case: Case, plan: Plan, checkout: str | None) -> dict[str, float]:
    with _importing_from(checkout):
        return case.take(plan)


@contextmanager
def _importing_from(checkout: str | None) -> Iterator[None]:
    """Let the processes that are started meanwhile import Postlude from there; None: from here."""
    kept = os.environ.pop("PYTHONPATH", None)
    if checkout is not None:
        os.environ["PYTHONPATH"] = str(Path(checkout).resolve() / "src")
    try:
        yield
    finally:
        os.environ.pop("PYTHONPATH", None)
        if kept is not None:
            os.environ["PYTHONPATH"] = kept
