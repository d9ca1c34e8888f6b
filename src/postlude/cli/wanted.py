"""Which jobs a command is about, as options say it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from postlude.cli.known import find_task
from postlude.cli.spans import moment
from postlude.client.wanted import filter_of
from postlude.job import JobState

if TYPE_CHECKING:
    from postlude.cli.opened import Opened
    from postlude.client.wanted import Wanted
    from postlude.stores.contract import Filter

_PANEL = "Which jobs"


@dataclass(frozen=True, slots=True)
class Which:
    """Options that say which jobs are meant; together, those for which all of them hold."""

    state: Annotated[
        list[str] | None,
        typer.Option(
            show_default=False,
            help=f"{', '.join(JobState)}. Given more than once: in any of them.",
            rich_help_panel=_PANEL,
            autocompletion=lambda: [*JobState],
        ),
    ] = None
    task: Annotated[
        str | None,
        typer.Option(show_default=False, help="Of this task, by its name or its function's.", rich_help_panel=_PANEL),
    ] = None
    queue: Annotated[str | None, typer.Option(show_default=False, help="Of this queue.", rich_help_panel=_PANEL)] = None
    key: Annotated[str | None, typer.Option(show_default=False, help="With this key.", rich_help_panel=_PANEL)] = None
    since: Annotated[
        str | None,
        typer.Option(metavar="2h", show_default=False, help="Added since, or in the last.", rich_help_panel=_PANEL),
    ] = None
    until: Annotated[
        str | None,
        typer.Option(metavar="1d", show_default=False, help="Added before, or so long ago.", rich_help_panel=_PANEL),
    ] = None
    failed_since: Annotated[
        str | None,
        typer.Option(metavar="2h", show_default=False, help="Failed since, or in the last.", rich_help_panel=_PANEL),
    ] = None
    text: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="With this in the arguments, the error or the reason, whatever the case of its letters.",
            rich_help_panel=_PANEL,
        ),
    ] = None

    def wanted(self, opened: Opened) -> Wanted:
        """What the client is asked for.

        Raises:
            UnknownValue: a moment is none.
        """
        now = opened.clock.now()
        found: Wanted = {"state": tuple(self.state or ())}
        if self.task is not None:
            found["task"] = _task(opened, self.task)
        if self.queue is not None:
            found["queue"] = self.queue
        if self.key is not None:
            found["key"] = self.key
        if self.text is not None:
            found["text"] = self.text
        if self.since is not None:
            found["since"] = moment(self.since, "--since", now)
        if self.until is not None:
            found["until"] = moment(self.until, "--until", now)
        if self.failed_since is not None:
            found |= {"state": "failed", "ended_since": moment(self.failed_since, "--failed-since", now)}
        return found

    def wanted_now(self, opened: Opened) -> Wanted:
        """The same of the jobs that are there: what is added while somebody is asked is left alone.

        Raises:
            UnknownValue: a moment is none.
        """
        found, now = self.wanted(opened), opened.clock.now()
        until = found.get("until")
        found["until"] = min(until, now) if isinstance(until, float) else now
        return found

    def filter(self, opened: Opened) -> Filter:
        """What the store is asked for.

        Raises:
            UnknownValue: a moment is none.
        """
        return filter_of(self.wanted(opened), opened.place.registry, opened.clock.now())

    def said(self) -> dict[str, Any]:
        """What was asked for, for people to read later; empty: nothing was."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in given.items() if value}


def _task(opened: Opened, name: str) -> str:
    """The whole name of a task; where none is known that may be meant, jobs may still have this one."""
    found = opened.place.found
    if found is None or ":" in name:
        return name
    try:
        return find_task(found, name).name
    except LookupError:
        return name
