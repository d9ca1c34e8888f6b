"""`postlude queues`, `pause` and `resume`: what waits where, and what is held back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from postlude.cli.jsons import as_json
from postlude.cli.noting import note
from postlude.cli.printing import in_line, local, span, table
from postlude.cli.running import on_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from postlude.cli.opened import Opened
    from postlude.limits import Limit
    from postlude.pauses import Pause
    from postlude.views import QueuesView

queues: typer.Typer = typer.Typer(no_args_is_help=True, help="What waits in which queue; pause and resume one.")

_Queue = Annotated[str, typer.Argument(metavar="QUEUE", show_default=False, help="Its name.")]
_Reason = Annotated[str | None, typer.Option(show_default=False, help="Why, for others to read.")]


@queues.command("list")
@on_store()
async def list_queues(opened: Opened) -> None:
    """Show the queues: what is due, what is later, what runs, what is paused, and the use of limits."""
    view = await opened.views.queues()
    opened.out.show(as_json(view), *_shown(view, opened.clock.now()))


def _shown(view: QueuesView, now: float) -> Iterator[RenderableType]:
    rows = [
        (
            each.name,
            f"{each.due:,}{'+' if each.more else ''}",
            "-" if each.oldest_due is None else span(now - each.oldest_due),
            f"{each.later:,}",
            f"{each.running:,}",
            "" if each.paused is None else Text(_paused(each.paused), style="yellow"),
        )
        for each in view.queues
    ]
    yield table("queue", "due", "oldest", "later", "running", "", rows=rows)
    if view.behind:
        yield Text(f"{view.behind:,} more wait for the job before them in their chain.", style="dim")
    if view.limits:
        limits = [
            (each.task, each.partition, _limit(each.limit), f"{each.running:,}", f"{each.started:,}")
            for each in view.limits
        ]
        yield ""
        yield table("limited task", "partition", "limit", "running", "started", rows=limits)
    for pause in view.pauses:
        if pause.kind != "queue":
            yield Text(f"{said(pause)}: {_paused(pause)}", style="yellow")


def said(pause: Pause) -> str:
    """What is paused, for people."""
    if pause.kind in {"all", "store"}:
        return "everything"
    partition = f", partition {pause.partition}" if pause.kind == "partition" else ""
    return in_line(f"{'queue' if pause.kind == 'queue' else 'task'} {pause.name}{partition}")


def _paused(pause: Pause) -> str:
    reason = f": {in_line(pause.reason)}" if pause.reason else ""
    return f"paused since {local(pause.since)}{reason}"


def _limit(limit: Limit) -> str:
    parts = [f"{limit.max_running} at once"] if limit.max_running is not None else []
    if limit.rate is not None:
        parts.append(f"{limit.rate.starts} in {limit.rate.seconds:g} s")
    return ", ".join(parts)


@queues.command("pause")
@on_store()
async def pause_queue(opened: Opened, queue: _Queue, *, reason: _Reason = None) -> None:
    """Start no job of a queue until it is resumed. What runs goes on."""
    await _pause(opened, Target(queue=queue), reason)


@queues.command("resume")
@on_store()
async def resume_queue(opened: Opened, queue: _Queue) -> None:
    """Start jobs of a queue again."""
    await _resume(opened, Target(queue=queue))


@dataclass(frozen=True, slots=True)
class Target:
    """What is paused or resumed."""

    everything: Annotated[bool, typer.Option("--all", help="Everything, whatever its queue and task.")] = False
    queue: Annotated[str | None, typer.Option(show_default=False, help="A queue.")] = None
    task: Annotated[str | None, typer.Option(show_default=False, help="A task.")] = None
    partition: Annotated[str | None, typer.Option(show_default=False, help="With --task: one of its partitions.")] = (
        None
    )

    def __str__(self) -> str:
        """For people."""
        if self.everything:
            return "everything"
        if self.task is None:
            return in_line(f"queue {self.queue}")
        return in_line(f"task {self.task}" + (f", partition {self.partition}" if self.partition is not None else ""))


@on_store(target=Target)
async def pause(opened: Opened, target: Target, *, reason: _Reason = None) -> None:
    """Start no job of a queue, of a task, of one of its partitions, or none at all, until `resume`.

    What runs goes on. `--all` is a pause of its own: to resume it leaves what was paused by its queue as it was.
    """
    await _pause(opened, target, reason)


@on_store(target=Target)
async def resume(opened: Opened, target: Target) -> None:
    """Start jobs again of what was paused with the same options."""
    await _resume(opened, target)


async def _pause(opened: Opened, target: Target, reason: str | None) -> None:
    paused = await opened.jobs.pause(**asdict(target), reason=reason)
    await note(opened, "pause", target, reason=reason)
    opened.out.show(as_json(paused), f"{target} is paused; what runs goes on.".capitalize())


async def _resume(opened: Opened, target: Target) -> None:
    was = await opened.jobs.resume(**asdict(target))
    if was:
        await note(opened, "resume", target)
    opened.out.show({"resumed": was}, f"{target} {'goes on' if was else 'was not paused'}.".capitalize())
