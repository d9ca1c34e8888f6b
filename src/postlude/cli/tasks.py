"""`postlude tasks`: every task that the application can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.text import Text

from postlude.cli.jsons import as_json
from postlude.cli.known import known_tasks
from postlude.cli.printing import span, table
from postlude.cli.running import on_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postlude.cli.opened import Opened
    from postlude.views import TaskView

tasks: typer.Typer = typer.Typer(no_args_is_help=True, help="Every task that the application can run.")


@tasks.command("list")
@on_store()
async def list_tasks(opened: Opened) -> None:
    """Show every task with its signature and its policy, and how it has gone in the last day.

    Those are the declared ones, those with a schedule, those that the application's code is seen to add, and those of
    which the store has jobs.
    """
    if opened.place.found is not None:
        known_tasks(opened.place.found)  # which the views know from then on
    views = await opened.views.tasks()
    rows = [
        (
            each.name,
            each.signature or Text(each.why_unknown or "not known here", style="dim"),
            Text(", ".join(_policy(each)), style="dim"),
            _gone(each),
        )
        for each in views
    ]
    if not rows:
        opened.out.show([], Text("No tasks are known here.", style="dim"))
        return
    opened.out.show(as_json(views), table("task", "signature", "policy", "last day", rows=rows))


def _policy(task: TaskView) -> Iterator[str]:
    if task.unresolvable:
        yield "JOBS WAIT, AND NO LIVING WORKER KNOWS IT"
    if task.executor is not None:
        yield task.executor
    if task.queue not in {None, "default"}:
        yield f"queue {task.queue}"
    if task.priority:
        yield f"priority {task.priority}"
    if task.retries and task.retries != "none":
        yield f"retries {task.retries}"
    if task.timeout is not None:
        yield f"timeout {span(task.timeout)}"
    if task.interrupted == "hold":
        yield "held when interrupted"
    if task.pauses:
        yield "PAUSED"


def _gone(task: TaskView) -> str:
    counts = task.day.counts
    waiting = sum(each.due for each in task.waiting)
    parts = [f"{counts.get('succeeded', 0):,} done"] if task.day.ended else []
    if counts.get("failed"):
        parts.append(f"{counts['failed']:,} failed")
    if waiting:
        parts.append(f"{waiting:,} waiting")
    return ", ".join(parts)
