"""`postlude move`: the move of all jobs, with a bar while it goes on and a table of what came of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from postlude.cli.noting import note_in
from postlude.cli.printing import counted
from postlude.clock import SystemClock
from postlude.errors import PostludeError, SettingsError
from postlude.job import JobState
from postlude.moving import Move, release
from postlude.settings import read_settings
from postlude.stores.ends import open_ends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from postlude.moving import Count
    from postlude.stores.moving import StoreWithDestination, StoreWithSource

OPEN_AGAIN: Final = "The source is open again."
CUT_OFF: Final = 130
"""What a shell says of a program that was ended by Ctrl-C."""


def move_jobs(
    ends: tuple[StoreWithSource, StoreWithDestination], *, drain: bool, history: bool, undo: bool, console: Console
) -> int:
    """Carry all jobs over, and say what came of it.

    Returns:
        The exit code: 0 when both sides count the same, 1 when they do not or the move was refused, 130 when it was cut
        off by hand.
    """
    try:
        return asyncio.run(_move(*ends, drain=drain, history=history, undo=undo, console=console))
    except PostludeError as error:
        console.print(str(error), style="red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        line = "Cut off. If no job had arrived, the source is open again; should it not be, open it with --undo."
        console.print(f"{line} Run the same command again to go on.", soft_wrap=True)
        return CUT_OFF


def ends_of(
    source: str, destination: str, *, namespace: str | None, schema: str | None, console: Console
) -> tuple[StoreWithSource, StoreWithDestination] | None:
    """The two stores; None, and said why, if a URL names none."""
    try:
        settings = read_settings({"url": destination, "namespace": namespace, "schema": schema})
        return open_ends(source, settings)
    except SettingsError as error:
        for problem in error.problems:
            # The settings call it by their own name.
            said = f"DESTINATION{problem.removeprefix('url')}" if problem.startswith("url:") else problem
            console.print(said, style="red", soft_wrap=True)
        return None


async def _move(
    source: StoreWithSource,
    destination: StoreWithDestination,
    *,
    drain: bool,
    history: bool,
    undo: bool,
    console: Console,
) -> int:
    bar, clock = _Bar(console), SystemClock()
    try:
        left = (await source.open()).location
        if undo and await release(source):  # its destination may be gone
            await note_in(source, clock.now(), "move", "undone")
            console.print(OPEN_AGAIN)
            return 0
        where = (await destination.open()).location
        move = Move(source, destination, where, clock, bar)
        if undo:
            opened = await move.undo()
            if opened:
                await note_in(source, clock.now(), "move", "undone")
            console.print(OPEN_AGAIN if opened else "No move has begun there: nothing to undo.")
            return 0
        counts = await move.run(drain=drain, history=history)
        jobs = sum(each.destination for each in counts if each.kind in {*JobState})
        await note_in(destination, clock.now(), "move", counted(jobs, "job"), source=left)
    finally:
        bar.stop()
        await destination.close()
        await source.close()
    if move.rescued:
        console.print(f"{move.rescued} jobs had been left by processes that are gone; they go on there.")
    return _tell(counts, where, console)


def _tell(counts: Sequence[Count], where: str, console: Console) -> int:
    table = Table(title=f"Moved to {where}")
    table.add_column("")
    table.add_column("source", justify="right")
    table.add_column("destination", justify="right")
    differ = [count for count in counts if count.source != count.destination]
    for count in counts:
        style = "red" if count in differ else None
        table.add_row(count.kind, f"{count.source:,}", f"{count.destination:,}", style=style)
    console.print(table)
    if differ:
        kinds = ", ".join(count.kind for count in differ)
        line = f"The counts differ: {kinds}. The source is as it was, and shut: keep its file, and report this."
        console.print(line, style="red", soft_wrap=True)
        return 1
    console.print(
        "Both sides count the same. Set POSTLUDE_URL to the destination. The source stays as it was, and nobody can "
        "open it any more; keep its file until you are sure.",
        soft_wrap=True,
    )
    return 0


class _Bar:
    """A progress bar, as `moving.Watch`. There is nothing to be seen of it before the first job is carried."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._carried = self._progress.add_task("jobs", total=None)
        self._said: str | None = None

    def waiting(self, unfinished: int, living: Sequence[str]) -> None:
        """Once for each number of them."""
        line = f"Waiting for the end of {unfinished} attempts in {', '.join(living)}"
        if line != self._said:
            self._said = line
            self._progress.console.print(line, soft_wrap=True)

    def carried(self, done: int, total: int) -> None:
        """The bar, which begins again for the history."""
        self._progress.start()
        self._progress.update(self._carried, completed=done, total=total)

    def stop(self) -> None:
        """Leave it as it is. Idempotent, and fine if nothing was carried."""
        if self._progress.live.is_started:
            self._progress.stop()
