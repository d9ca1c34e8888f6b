"""`postlude export`: jobs as JSON lines."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated

import typer

from postlude.cli.describing import job_json, row_json
from postlude.cli.printing import Output
from postlude.cli.running import on_store
from postlude.cli.wanted import Which
from postlude.errors import JobNotFound

if TYPE_CHECKING:
    from postlude.cli.opened import Opened


@on_store(which=Which)
async def export(
    opened: Opened,
    which: Which,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="With arguments, results, attempts and logs, each read for itself.")
    ] = False,
) -> None:
    """Print jobs as JSON lines, newest first.

    Each is an object as `jobs list --json` has it or, in full, `jobs get --json`. What is secret by its name or its
    type is masked, as everywhere; a copy of everything is what `backup` makes.
    """
    out = Output(json=True)
    async for row in opened.views.every(which.filter(opened)):
        with contextlib.suppress(JobNotFound):  # it was deleted since the page was read
            out.show(job_json(await opened.views.job(row.id)) if full else row_json(row))
