"""`postlude schedules`: what comes when, and having one run now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from postlude.cli.codes import DONE
from postlude.cli.jsons import as_json
from postlude.cli.noting import note
from postlude.cli.opened import application_of
from postlude.cli.printing import iso, local, table
from postlude.cli.running import on_store
from postlude.cli.waiting import wait_and_tell

if TYPE_CHECKING:
    from postlude.cli.opened import Opened
    from postlude.views import ScheduleView

schedules: typer.Typer = typer.Typer(no_args_is_help=True, help="What comes when; have one run now.")


@schedules.command("list")
@on_store()
async def list_schedules(
    opened: Opened, *, runs: Annotated[int, typer.Option(min=0, max=100, help="So many of the next moments.")] = 5
) -> None:
    """Show the schedules with their next moments."""
    found = await opened.views.schedules(runs)
    rows = [(each.info.name, _when(each), _next(each), local(each.info.last_moment), _note(each)) for each in found]
    if not rows:
        opened.out.show([], Text(f"No schedules in {opened.location}.", style="dim"))
        return
    opened.out.show([_json(each) for each in found], table("schedule", "when", "next", "last", "", rows=rows))


@schedules.command("run")
@on_store()
async def run_schedule(
    opened: Opened,
    schedule: Annotated[str, typer.Argument(show_default=False, help="Its name, as `schedules list` has it.")],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end, and show progress and result.")] = False,
) -> int:
    """Make a job of a schedule now, beside those of its moments.

    Exit code: with --wait, 0 if it has succeeded and 1 if not.
    """
    application_of(opened.place)  # only the code knows what to call it with
    job = await opened.schedules.run(schedule)
    await note(opened, "run", schedule, job=job.id)
    if wait:
        return await wait_and_tell(opened, job.id, None)
    opened.out.show({"id": str(job.id), "task": job.task, "state": job.state}, str(job.id))
    return DONE


def _when(view: ScheduleView) -> str:
    # A name that was not given has it.
    return "" if view.info.name.endswith(view.info.spec) else view.info.spec


def _next(view: ScheduleView) -> Text:
    return Text("\n".join(local(each) for each in view.next_runs) or "-")


def _note(view: ScheduleView) -> Text:
    return Text(view.problem, style="yellow") if view.problem else Text(view.info.task, style="dim")


def _json(view: ScheduleView) -> dict[str, Any]:
    info = view.info
    return {
        "name": info.name,
        "task": info.task,
        "spec": info.spec,
        "declared": info.declared,
        "last_moment": iso(info.last_moment),
        "last_job": as_json(info.last_job),
        "next_runs": [iso(each) for each in view.next_runs],
        "problem": view.problem,
    }
