"""What is said when the application starts: a line for each fact, a warning for each that somebody should act upon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from postlude import telemetry
from postlude.job import JobState
from postlude.settings import unknown_variables
from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.process import Process
    from postlude.settings import Settings


class Coverage(Protocol):
    """Which routes of the application the hooks reach."""

    @property
    def covered(self) -> int:
        """How many do."""
        ...

    @property
    def gaps(self) -> Sequence[str]:
        """A line for each that does not."""
        ...


async def introduce(
    process: Process, settings: Settings, coverage: Coverage, *, rescued: int, knows: Callable[[str], bool]
) -> None:
    """Say where jobs are kept, who runs them, which routes are covered, and what waits.

    Args:
        process: has the store open.
        settings: of the application.
        coverage: which of its routes the hooks reach.
        rescued: how many jobs of dead processes were taken up.
        knows: whether this application has the task with that name.
    """
    waiting = (await process.store.count(Filter(frozenset({JobState.QUEUED})))).get(JobState.QUEUED, 0)
    embedded = settings.worker == "embedded"
    slots = settings.concurrency
    milliseconds = process.description.sync_seconds * 1000
    runs = f"up to {slots.loop} tasks at once on the event loop and {slots.threads} in threads"
    for line in (
        f"store: {process.description.location}, where a write takes {milliseconds:.2f} ms to reach the disk",
        f"worker: {f'embedded, {runs}' if embedded else 'off, jobs are only stored here'}",
        f"routes: {coverage.covered} with durable background tasks",
        f"queue: {_jobs(waiting)} waiting, {rescued} left by a process that is gone",
    ):
        telemetry.announce(line)
    gaps = [f"not covered: {gap}" for gap in coverage.gaps]
    lost = await _unresolvable(process, knows) if embedded else []
    for warning in (*process.description.warnings, *unknown_variables(), *gaps, *lost):
        telemetry.warn(warning)


async def _unresolvable(process: Process, knows: Callable[[str], bool]) -> list[str]:
    """A line for each task that has waiting jobs and that this application does not have."""
    lines = []
    for name in sorted(await process.store.waiting_tasks()):
        if not knows(name):
            counted = await process.store.count(Filter(frozenset({JobState.QUEUED}), name))
            lines.append(
                f"{_jobs(sum(counted.values()))} waiting for {name}, which this application does not have: put the "
                f"function back, or take its jobs up with @task(formerly={name!r}) on the one that replaces it"
            )
    return lines


def _jobs(number: int) -> str:
    return f"{number} job{'' if number == 1 else 's'}"
