"""`postlude jobs stack`: what a running attempt is executing now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from postlude.cli.codes import DONE, NOT_IN_TIME, REFUSED
from postlude.cli.jsons import as_json
from postlude.cli.printing import plain
from postlude.cli.running import on_store
from postlude.clock import pause
from postlude.job import JobState
from postlude.stacks import LOGGER

if TYPE_CHECKING:
    from uuid import UUID

    from postlude.cli.opened import Opened
    from postlude.views import Line

LOOK_AGAIN: Final = 0.25
"""Seconds between two looks for the answer."""
ANSWERED_WITHIN: Final = 10.0
"""Seconds in which a worker answers whose event loop is not blocked: it looks once a second, and writes twice."""


@on_store()
async def stack(
    opened: Opened, job: Annotated[str, typer.Argument(metavar="JOB", show_default=False, help="The id of the job.")]
) -> int:
    """Show what a running job is executing now: the lines of code that it is in, without any values.

    The worker that runs it is asked through the store, and answers in the job's log. It can tell where an `async def`
    awaits, where a `def` is in its thread, and the same of a child process. It cannot while its event loop is blocked,
    nor for an executor of the application's own.

    Exit code: 0 with an answer, 1 if the job does not run, 4 if its worker did not answer within ten seconds.
    """
    found = await opened.jobs.get(job)
    if found.state not in {JobState.STAGED, JobState.RUNNING}:
        opened.out.note(f"Job {found.id} is {found.state}: nothing of it runs now.")
        return REFUSED
    before = await _answers(opened, found.id)
    await opened.store.asking.ask(found.id, now=opened.clock.now())
    opened.store.notify("cancelled")  # what lets the worker look at once
    deadline = opened.clock.elapsed() + ANSWERED_WITHIN
    while opened.clock.elapsed() < deadline:
        answers = await _answers(opened, found.id)
        if answers and answers != before:
            opened.out.show(as_json(answers[-1]), Text(plain(answers[-1].message)))
            return DONE
        if (await found.refresh()).state.finished:
            opened.out.note(f"Job {found.id} has {found.state} meanwhile.")
            return REFUSED
        await pause(LOOK_AGAIN)
    opened.out.note(
        f"Its worker has not answered within {ANSWERED_WITHIN:g} s: its event loop is blocked, it has died, or it is "
        "of an earlier release. See `postlude workers`."
    )
    return NOT_IN_TIME


async def _answers(opened: Opened, job_id: UUID) -> list[Line]:
    # As they are shown: code may have secrets, too.
    return [line for line in (await opened.views.job(job_id)).log if line.logger == LOGGER]
