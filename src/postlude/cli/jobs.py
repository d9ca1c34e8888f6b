"""`postlude jobs`: look at jobs, wait for them, and follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from postlude.cli.describing import job_json, progress_text, row_json, whole
from postlude.cli.following import follow, follow_all
from postlude.cli.printing import local, span, styled_state, table
from postlude.cli.running import on_store
from postlude.cli.spans import duration
from postlude.cli.waiting import wait_and_tell
from postlude.cli.wanted import Which
from postlude.job import JobState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from postlude.cli.opened import Opened
    from postlude.views import JobRow

jobs: typer.Typer = typer.Typer(no_args_is_help=True, help="Look at jobs and steer them.")

_Id = Annotated[str, typer.Argument(metavar="JOB", show_default=False, help="The id of the job.")]


@jobs.command("list")
@on_store(which=Which)
async def list_jobs(
    opened: Opened,
    which: Which,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    place: Annotated[
        str | None, typer.Option(show_default=False, help="Go on where the page before said that there are more.")
    ] = None,
) -> None:
    """Show jobs, newest first."""
    page = await opened.views.jobs(which.filter(opened), limit=limit, place=place)
    shown: list[RenderableType] = [
        table("job", "state", "task", "queue", "added", "took", "", rows=[_row(opened, each) for each in page.rows])
    ]
    if not page.rows:
        shown = [Text(f"No such job in {opened.location}." if page.older is None else "None so far.", style="dim")]
    if page.older is not None:
        why = "Only so many were looked at. " if page.partial else ""
        shown.append(Text(f"{why}There are older ones: --place {page.older}", style="dim"))
    opened.out.show({"jobs": [row_json(each) for each in page.rows], "older": page.older}, *shown)


def _row(opened: Opened, row: JobRow) -> tuple[str | Text, ...]:
    end = row.finished_at
    if row.state is JobState.RUNNING:
        end = opened.clock.now()
    took = "-" if end is None or row.started_at is None else span(end - row.started_at)
    note = row.note or progress_text(row.progress) if row.state.finished else progress_text(row.progress) or row.note
    return str(row.id), styled_state(row.state.value), row.task, row.queue, local(row.created_at), took, note or ""


@jobs.command()
@on_store()
async def get(opened: Opened, job: _Id) -> None:
    """Show all that is known of a job: arguments, attempts with tracebacks, result, log, chain."""
    view = await opened.views.job(job)
    opened.out.show(job_json(view), whole(view))


@jobs.command()
@on_store()
async def wait(
    opened: Opened,
    job: _Id,
    *,
    timeout: Annotated[  # noqa: ASYNC109 - it is an option
        str | None, typer.Option(metavar="10m", show_default=False, help="For so long at most. Default: for ever.")
    ] = None,
) -> int:
    """Wait until a job has ended, with its progress, and show its result.

    Exit code: 0 if it has succeeded, 1 if not, 4 if it had not ended in time. Ctrl-C ends the waiting, not the job.
    """
    return await wait_and_tell(opened, job, None if timeout is None else duration(timeout, "--timeout"))


@jobs.command()
@on_store(which=Which)
async def tail(
    opened: Opened,
    which: Which,
    job: Annotated[
        str | None, typer.Argument(metavar="JOB", show_default=False, help="One job. Default: all that are meant.")
    ] = None,
) -> int | None:
    """Follow a job, with its log and its progress, to its end; or all jobs, as they begin and end.

    With --json each line is a JSON value. Exit code: that of `wait` for one job; Ctrl-C ends it.
    """
    if job is not None:
        return await follow(opened, job)
    await follow_all(opened, which.filter(opened))
    return None
