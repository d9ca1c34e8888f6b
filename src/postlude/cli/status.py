"""`postlude status`: one screen, which ends with what needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from postlude.cli.codes import DONE, REFUSED
from postlude.cli.jsons import as_json
from postlude.cli.printing import counted, in_line, span
from postlude.cli.running import on_store
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from postlude.cli.opened import Opened
    from postlude.views import Overview

MOST_RUNNING = 10
"""Jobs that run now and are named."""


@on_store()
async def status(opened: Opened) -> int:
    """Show how it goes on one screen, and what needs a person.

    Exit code: 0 if nothing needs a person, 1 if something does.
    """
    overview = await opened.views.overview("hour")
    opened.out.show(as_json(overview), *_shown(overview, opened.location))
    return REFUSED if overview.needs else DONE


def _shown(view: Overview, location: str) -> Iterator[RenderableType]:
    yield Text(in_line(location), style="dim")
    counts = [f"{view.counts.text(state)} {state.value}" for state in JobState]
    yield Text.assemble(("jobs     ", "dim"), ", ".join(counts))
    oldest = "" if view.oldest_due is None else f", the first for {span(view.at - view.oldest_due)}"
    yield Text.assemble(("due      ", "dim"), f"{view.due_text}{oldest}")
    yield Text.assemble(("workers  ", "dim"), f"{view.workers:,}, running {counted(view.running_count, 'job')}")
    yield Text.assemble(("the hour ", "dim"), ", ".join(_hour(view)) or "nothing has ended")
    for job in view.running[:MOST_RUNNING]:
        running = f"  {job.job_id} {in_line(job.task)} for {span(view.at - job.since)}"
        yield Text(running, style="blue")
    yield ""
    if not view.needs:
        yield Text("Nothing needs a person.", style="green")
        return
    yield Text("Needs a person", style="bold")
    for need in view.needs:
        style = "bold red" if need.grave else "yellow"
        yield Text.assemble((f"- {in_line(need.text)}", style), f" [{in_line(need.command)}]")


def _hour(view: Overview) -> Iterator[str]:
    counts = view.total.counts
    for name, number in counts.items():
        if number:
            yield f"{number:,} {name}"
    if view.total.failure_rate:
        yield f"{view.total.failure_rate:.1%} failed"
    for what, times in (("start", view.total.start), ("run", view.total.run)):
        if times.p95 is not None:
            yield f"{what} p50 {span(times.p50)}, p95 {span(times.p95)}"
