"""`postlude export`: jobs as JSON lines."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from postlude.cli.describing import job_json, row_json
from postlude.cli.printing import Output
from postlude.cli.running import on_store
from postlude.cli.wanted import Which
from postlude.errors import JobNotFound

if TYPE_CHECKING:
    from postlude.cli.opened import Opened

PAGE: Final = 500
"""Jobs that are read at once."""


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
    out, chosen, place = Output(json=True), which.filter(opened), None
    while True:
        page = await opened.views.jobs(chosen, limit=PAGE, place=place)
        for row in page.rows:
            with contextlib.suppress(JobNotFound):  # it was deleted since the page was read
                out.show(job_json(await opened.views.job(row.id)) if full else row_json(row))
        place = page.older
        if place is None:
            return
