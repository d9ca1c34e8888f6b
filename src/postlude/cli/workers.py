"""`postlude workers`: who runs jobs, what they do, and who died."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from postlude.cli.jsons import as_json
from postlude.cli.printing import in_line, local, span, table
from postlude.cli.running import on_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from postlude.cli.opened import Opened
    from postlude.views import WorkersView, WorkerView

_STYLES = {"running": "blue", "idle": "green", "stopping": "yellow", "silent": "bold red", "dead": "bold red"}


@on_store()
async def workers(opened: Opened) -> None:
    """Show the processes that run jobs: since when, what they do, how they are; and those that died."""
    view = await opened.views.workers()
    opened.out.show(as_json(view), *_shown(view, opened.clock.now()))


def _shown(view: WorkersView, now: float) -> Iterator[RenderableType]:
    if view.workers:
        heads = ("worker", "state", "since", "runs", "free", "loop lag", "release")
        yield table(*heads, rows=[_row(each, now) for each in view.workers])
    else:
        yield Text("No worker is there.", style="bold yellow")
    for each in view.workers:
        for problem in each.problems:
            yield Text(f"{_place(each)}: {in_line(problem)}", style="yellow")
        jobs = () if each.row.report is None else each.row.report.jobs
        for job in jobs:
            running = f"{_place(each)} runs {job.job_id} {in_line(job.task)} for {span(now - job.since)}"
            yield Text(running, style="dim")
    if view.former:
        rows = [
            (f"{each.host}:{each.pid}", local(each.since), local(each.gone_at), f"{each.rescued:,}")
            for each in view.former
        ]
        yield ""
        yield table("died", "since", "found dead", "jobs rescued", rows=rows)


def _place(worker: WorkerView) -> str:
    return f"{worker.row.host}:{worker.row.pid}"


def _row(worker: WorkerView, now: float) -> tuple[str | Text, ...]:
    report = worker.row.report
    since = span(now - worker.row.since)
    state = Text(worker.state, style=_STYLES.get(worker.state, ""))
    if report is None:
        return _place(worker), state, since, "-", "-", "-", "-"
    free = ", ".join(f"{name} {number}" for name, number in report.free.items())
    free = free if report.runs_jobs else "none: it only stores jobs"
    return _place(worker), state, since, str(report.running), free, span(report.loop_lag), report.release
