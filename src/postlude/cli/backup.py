"""`postlude backup`: a copy of the file in which jobs are kept, made while applications use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress
from rich.text import Text

from postlude.cli.printing import counted
from postlude.cli.running import on_place
from postlude.stores.copying import copy_store

if TYPE_CHECKING:
    from postlude.cli.opened import Place
    from postlude.cli.printing import Output


@on_place()
def backup(
    place: Place,
    out: Output,
    file: Annotated[str, typer.Argument(show_default=False, help="The copy to make.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Copy the SQLite file in which jobs are kept, while applications use it.

    The copy is the store as it was at one moment. It is checked, and has its name only when it is whole and on disk.
    To restore it, stop what uses the store, put the copy in its place, and remove the files beside it that end with
    -wal and -shm. What was running at that moment runs again.

    PostgreSQL makes copies itself: the command says how.
    """
    target = Path(file).absolute()
    with Progress(console=out.errors, transient=True, disable=not out.errors.is_terminal) as bar:
        line = bar.add_task("copying", total=None)
        jobs = copy_store(
            place.settings, target, lambda done, total: bar.update(line, completed=done, total=total), replace=force
        )
    size = target.stat().st_size
    said = f"{target}: {counted(jobs, 'job')}, {size / 1e6:,.1f} MB, checked."
    out.show({"file": str(target), "jobs": jobs, "bytes": size}, Text(said))
