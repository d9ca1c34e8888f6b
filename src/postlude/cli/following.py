"""Following what goes on, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from rich.text import Text

from postlude.cli.codes import DONE, REFUSED
from postlude.cli.describing import ending, job_json, line_of, progress_text, row_json
from postlude.cli.jsons import as_json
from postlude.cli.printing import in_line, local, styled_state
from postlude.clock import pause
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from postlude.cli.opened import Opened
    from postlude.stores.contract import Filter
    from postlude.views import JobRow, JobView, Line

LOOK_AGAIN: Final = 0.5
"""Seconds between two looks at one job."""
LOOK_AT_ALL_AGAIN: Final = 1.0
"""Seconds between two looks at all of them."""
PAGE: Final = 200
"""Jobs of each kind that are looked at each time: the newest."""


async def follow(opened: Opened, job_id: str) -> int:
    """Tell what a job logs and how far it comes, until it has ended; returns the exit code.

    Raises:
        JobNotFound: there is none with this id.
    """
    log: Sequence[Line] = ()
    said: object = None
    while True:
        view = await opened.views.job(job_id)
        for line in _new(view.log, log):
            opened.out.show({"type": "log", **as_json(line)}, line_of(line))
        log = view.log
        now = (view.row.state, view.row.attempts, view.row.progress)
        if now != said and not view.row.state.finished:
            _tell_state(opened, view)
        said = now
        if view.row.state.finished:
            opened.out.show({"type": "end", "job": job_json(view)}, ending(view))
            return DONE if view.row.state is JobState.SUCCEEDED else REFUSED
        await pause(LOOK_AGAIN)


def _new(log: Sequence[Line], before: Sequence[Line]) -> Sequence[Line]:
    """What has come to a log of which the oldest lines may have gone."""
    if not before:
        return log
    last = before[-1]
    at = next((at for at in range(len(log) - 1, -1, -1) if log[at] == last), -1)
    return log[at + 1 :]


def _tell_state(opened: Opened, view: JobView) -> None:
    row = view.row
    value = {"type": "state", "state": row.state, "attempts": row.attempts, "progress": as_json(row.progress)}
    attempt = f" attempt {row.attempts}" if row.attempts else ""
    said = Text.assemble(styled_state(row.state.value), f"{attempt} {progress_text(row.progress)}".rstrip())
    opened.out.show(value, said)


async def follow_all(opened: Opened, wanted: Filter) -> NoReturn:
    """Tell of all jobs that are meant as they are added, begin and end; until Ctrl-C."""
    told: dict[UUID, tuple[Any, ...]] = {}
    since = opened.clock.now()
    while True:
        began = opened.clock.now()
        # A look back that overlaps the one before: what is committed meanwhile carries a moment from before its commit.
        back = since - 5 * LOOK_AT_ALL_AGAIN
        looks = (
            wanted._replace(since=max(back, wanted.since or 0.0)),
            wanted._replace(ended_since=back),
            wanted._replace(states=(wanted.states or frozenset(JobState)) & {JobState.RUNNING}),
        )
        rows = {
            row.id: row
            for look in looks
            if look.states or not wanted.states
            for row in (await opened.views.jobs(look, limit=PAGE)).rows
        }
        for row in sorted(rows.values(), key=_moment):
            now = (row.state, row.attempts)
            if told.get(row.id) != now:
                told[row.id] = now
                opened.out.show(row_json(row), _said(row))
        told = {job: state for job, state in told.items() if job in rows}
        since = began
        await pause(LOOK_AT_ALL_AGAIN)


def _moment(row: JobRow) -> float:
    return row.finished_at or row.started_at or row.created_at


def _said(row: JobRow) -> Text:
    why = f"  {in_line(row.note)}" if row.note else ""
    at = Text(f"{local(_moment(row))} ", style="dim")
    state = styled_state(row.state.value)
    state.pad_right(10 - len(state))
    return Text.assemble(at, state, f"{row.id} {in_line(row.task)}{why}")
