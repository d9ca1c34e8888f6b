"""Waiting for a job on a terminal: its progress while it runs, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from postlude.cli.codes import DONE, REFUSED
from postlude.cli.describing import ending, job_json, progress_text
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from rich.progress import TaskID

    from postlude.cli.opened import Opened
    from postlude.views import JobRow

LOOK_AGAIN: Final = 0.5
"""Seconds between two looks at the progress."""
PATIENCE: Final = 5.0
"""Seconds in which a job nearly always begins where anything can run it; after them it is said what holds it up."""
_HOLDS_UP: Final = frozenset({"no_worker", "unresolvable", "paused"})


class _Bar(NamedTuple):
    """A bar that shows how far one job has come."""

    shown: Progress
    line: TaskID

    def show(self, job: JobRow) -> None:
        """As it is now."""
        total = done = None
        if job.progress is not None:
            total, done = job.progress.total, job.progress.done
        said = f"{job.state} {progress_text(job.progress)}".strip()
        self.shown.update(self.line, total=total, completed=done or 0, description=said)


async def wait_and_tell(opened: Opened, job_id: UUID | str, seconds: float | None) -> int:
    """Wait until it has ended, and show what came of it; returns the exit code.

    Raises:
        JobNotFound: there is none with this id.
        WaitTimeout: it had not ended in so many seconds.
    """
    job = await opened.jobs.get(job_id)
    waiting = asyncio.ensure_future(opened.jobs.wait(job.id, timeout=seconds))
    try:
        with _bar(opened) as bar:
            impatient_at = opened.clock.elapsed() + PATIENCE
            while not waiting.done():
                now = (await opened.views.job(job.id)).row
                bar.show(now)
                if now.state is JobState.QUEUED and opened.clock.elapsed() > impatient_at:
                    impatient_at = inf
                    await _say_what_holds_up(opened, now)
                await asyncio.wait({waiting}, timeout=LOOK_AGAIN)
        job = await waiting
    finally:
        waiting.cancel()
    view = await opened.views.job(job.id)
    opened.out.show(job_json(view), ending(view))
    return DONE if job.state is JobState.SUCCEEDED else REFUSED


async def _say_what_holds_up(opened: Opened, job: JobRow) -> None:
    for need in await opened.views.needs():
        about = ((need.task, job.task), (need.queue, job.queue), (need.partition, job.partition))
        if need.kind in _HOLDS_UP and all(one in {None, own} for one, own in about):
            opened.out.note(f"It waits: {need.text} [{need.command}]")


@contextlib.contextmanager
def _bar(opened: Opened) -> Iterator[_Bar]:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    shown = opened.out.errors.is_terminal and not opened.out.json
    with Progress(*columns, console=opened.out.errors, transient=True, disable=not shown) as bar:
        yield _Bar(bar, bar.add_task("", total=None))
