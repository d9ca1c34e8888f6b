"""What is said when the application starts: a line for each fact, a warning for each that somebody should act upon.

Several processes may be one server, such as the workers of `uvicorn --workers 4`. One of them says it for all.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from postlude import telemetry
from postlude.job import JobState
from postlude.settings import unknown_variables
from postlude.stores.contract import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postlude.duty import Duty
    from postlude.lifetime.process import Process
    from postlude.services.scheduler import Scheduler
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

    @property
    def dashboards(self) -> Sequence[tuple[str, Inviting]]:
        """Those that are mounted, with their paths."""
        ...


class Inviting(Protocol):
    """A dashboard that is mounted."""

    async def invite(self, path: str) -> str:
        """What is said of it at the start; `path` is where it is mounted."""
        ...


class Introduced(NamedTuple):
    """What there is to say of an application, beside its store."""

    settings: Settings
    duty: Duty | None
    """What a worker was told that has the process to itself; None: it serves requests."""
    coverage: Coverage
    """Which of its routes the hooks reach."""
    rescued: int
    """How many jobs of dead processes were taken up."""
    knows: Callable[[str], bool]
    """Whether it has the task with that name."""


async def introduce(process: Process, about: Introduced) -> None:
    """Say where jobs are kept, who runs them, which routes are covered, and what waits; once for each server.

    Args:
        process: has the store open.
        about: the rest.
    """
    duty, server = about.duty, _server()
    if not await process.store.speaks_for(_name(server) if duty is None or duty.server is None else duty.server):
        if about.rescued:  # which no other process has counted
            telemetry.announce(f"queue: {_jobs(about.rescued)} left by a process that is gone")
        return
    of_child = duty is not None and duty.server is not None  # whose server has said the rest
    lines = [] if of_child else [_store(process), _worker(about, several=server != process.pid)]
    if duty is None:
        lines.append(f"routes: {about.coverage.covered} with durable background tasks")
        lines += [await dashboard.invite(path) for path, dashboard in about.coverage.dashboards]
    if duty is not None or about.settings.worker != "process":  # whose child says it
        lines += await _queue(process, about.rescued)
    for line in lines:
        telemetry.announce(line)
    warnings = [] if of_child else [*process.description.warnings, *unknown_variables()]
    if duty is None:
        warnings += [f"not covered: {gap}" for gap in about.coverage.gaps]
    if duty is not None or about.settings.worker == "embedded":
        warnings += await _unresolvable(process, about.knows)
    for warning in warnings:
        telemetry.warn(warning)


def server_name() -> str:
    """The server that this process is one of, by a name that no other one has."""
    return _name(_server())


def _store(process: Process) -> str:
    milliseconds = process.description.sync_seconds * 1000
    return f"store: {process.description.location}, where a write takes {milliseconds:.2f} ms to reach the disk"


def _worker(about: Introduced, *, several: bool) -> str:
    slots, duty = about.settings.concurrency, about.duty
    runs = f"up to {slots.loop} tasks at once on the event loop, {slots.threads} in threads and "
    runs += f"{slots.most_processes} in child processes"
    if duty is not None:
        queues = [name if most is None else f"{name} (at most {most} at once)" for name, most in duty.queues.items()]
        return f"worker: this process, {runs}" + (f"; only of the queues {', '.join(queues)}" if queues else "")
    if about.settings.worker == "off":
        return "worker: off, jobs are only stored here"
    where = "embedded" if about.settings.worker == "embedded" else "a process of its own beside this one"
    return f"worker: {where}, {runs}" + (", in each process" if several else "")


async def _queue(process: Process, rescued: int) -> list[str]:
    waiting = (await process.store.count(Filter(frozenset({JobState.QUEUED})))).get(JobState.QUEUED, 0)
    line = f"queue: {_jobs(waiting)} waiting, {rescued} left by a process that is gone"
    return [line, *_schedules(process.scheduler)]


async def introduce_another(process: Process, coverage: Coverage) -> None:
    """Say what another application adds, that shares the process with the one that was introduced."""
    if await process.store.speaks_for(_name(_server())):
        telemetry.announce(f"routes: {coverage.covered} more with durable background tasks")
        for path, dashboard in coverage.dashboards:
            telemetry.announce(await dashboard.invite(path))


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
    from multiprocessing import parent_process  # noqa: PLC0415 - a module of tasks does without

    parent = parent_process()
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
