"""What is said when the application starts: a line for each fact, a warning for each that somebody should act upon.

Several processes may be one server, such as the workers of `uvicorn --workers 4`. One of them says it for all.
"""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from postlude import telemetry
from postlude.job import JobState
from postlude.settings import unknown_variables
from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.process import Process
    from postlude.scheduler import Scheduler
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
    """Say where jobs are kept, who runs them, which routes are covered, and what waits; once for each server.

    Args:
        process: has the store open.
        settings: of the application.
        coverage: which of its routes the hooks reach.
        rescued: how many jobs of dead processes were taken up.
        knows: whether this application has the task with that name.
    """
    server = _server()
    if not await process.store.speaks_for(_name(server)):
        if rescued:  # which no other process has counted
            telemetry.announce(f"queue: {_jobs(rescued)} left by a process that is gone")
        return
    waiting = (await process.store.count(Filter(frozenset({JobState.QUEUED})))).get(JobState.QUEUED, 0)
    embedded = settings.worker == "embedded"
    slots = settings.concurrency
    milliseconds = process.description.sync_seconds * 1000
    children = f"{slots.most_processes} in child processes"
    runs = f"up to {slots.loop} tasks at once on the event loop, {slots.threads} in threads and {children}"
    runs += "" if server == process.pid else ", in each process"
    for line in (
        f"store: {process.description.location}, where a write takes {milliseconds:.2f} ms to reach the disk",
        f"worker: {f'embedded, {runs}' if embedded else 'off, jobs are only stored here'}",
        f"routes: {coverage.covered} with durable background tasks",
        f"queue: {_jobs(waiting)} waiting, {rescued} left by a process that is gone",
        *_schedules(process.scheduler),
    ):
        telemetry.announce(line)
    gaps = [f"not covered: {gap}" for gap in coverage.gaps]
    lost = await _unresolvable(process, knows) if embedded else []
    for warning in (*process.description.warnings, *unknown_variables(), *gaps, *lost):
        telemetry.warn(warning)


async def introduce_another(process: Process, coverage: Coverage) -> None:
    """Say what another application adds, that shares the process with the one that was introduced."""
    if await process.store.speaks_for(_name(_server())):
        telemetry.announce(f"routes: {coverage.covered} more with durable background tasks")


def _schedules(scheduler: Scheduler) -> list[str]:
    """A line about the schedules, if this application or the store has any."""
    rows = scheduler.rows
    if not rows:
        return []
    fired = [row for row in rows if scheduler.fires(row)]
    line = f"schedules: {len(fired)}"
    if fired:
        first = min(fired, key=lambda row: row.next_at)
        line += f", the next one is {first.name!r} at {telemetry.utc(first.next_at)}"
    if left := [repr(row.name) for row in rows if not scheduler.fires(row)]:
        line += f"; in the store, and not in this code as it is: {', '.join(left)}"
    return [line]


def _server() -> int:
    """The process that stands for the server: this one, or the one that made it to be one of several."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:  # made by `uvicorn --workers`, or by the one that reloads
        return parent.pid
    # A fork, as gunicorn's workers are, is told by the command: whatever is executed instead has one of its own.
    above = os.getppid()
    command = _told_of(above, "cmdline")
    return above if command and command == _told_of(os.getpid(), "cmdline") else os.getpid()


def _name(server: int) -> str:
    """A name for the server that no other one has, not even one in another container with the same file."""
    # The fields after the last parenthesis, which ends the command's name: the twentieth is the moment of its start.
    fields = _told_of(server, "stat").rpartition(b")")[2].split()
    return f"{os.uname().nodename} {server} {fields[19].decode() if len(fields) > 19 else ''}"  # noqa: PLR2004


def _told_of(process: int, what: str) -> bytes:
    """What the system tells of a process; nothing where it does not, as on macOS."""
    try:
        return Path(f"/proc/{process}/{what}").read_bytes()
    except OSError:
        return b""


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
