"""Following what goes on, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from rich.text import Text

from postlude.cli.codes import DONE, REFUSED
from postlude.cli.describing import ending, job_json, line_of, progress_text, row_json
from postlude.cli.jsons import as_json
from postlude.cli.printing import in_line, local, styled_state
from postlude.clock import pause
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from uuid import UUID

    from postlude.cli.opened import Opened
    from postlude.stores.contract import Filter
    from postlude.views import JobRow, JobView, Line

LOOK_AGAIN: Final = 0.5
"""Seconds between two looks at one job."""
LOOK_AT_ALL_AGAIN: Final = 1.0
"""Seconds between two looks at all of them; more where a look takes longer than that."""
OVERLAP: Final = 5.0
"""Seconds that a look reaches back behind the one before: what is committed carries a moment from before its commit."""
IN_ORDER: Final = 5_000
"""Jobs that are put into their order before they are told of: of a look with more, each part for itself."""


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
    told: dict[UUID, tuple[JobState, int]] = {}
    since = opened.clock.now()
    while True:
        began, start = opened.clock.now(), opened.clock.elapsed()
        seen: dict[UUID, tuple[JobState, int]] = {}
        async for row in _in_order(opened, wanted, since - OVERLAP):
            now = (row.state, row.attempts)
            if seen.get(row.id, told.get(row.id)) != now:
                opened.out.show(row_json(row), _said(row))
            seen[row.id] = now
        told, since = seen, began  # of those that only an earlier look has seen, none comes again
        await pause(max(LOOK_AT_ALL_AGAIN, opened.clock.elapsed() - start))


async def _in_order(opened: Opened, wanted: Filter, back: float) -> AsyncGenerator[JobRow, None]:
    """All jobs that were added, ended or have run since then; one may come more than once."""
    looks = (
        wanted._replace(since=max(back, wanted.since or 0.0)),
        wanted._replace(ended_since=max(back, wanted.ended_since or 0.0)),
        wanted._replace(states=(wanted.states or frozenset(JobState)) & {JobState.RUNNING}),
    )
    rows: list[JobRow] = []
    for look in looks:
        if wanted.states and not look.states:
            continue
        async for row in opened.views.every(look):
            rows.append(row)
            if len(rows) >= IN_ORDER:
                for each in sorted(rows, key=_moment):
                    yield each
                rows.clear()
    for each in sorted(rows, key=_moment):
        yield each


def _moment(row: JobRow) -> float:
    return row.finished_at or row.started_at or row.created_at


def _said(row: JobRow) -> Text:
    why = f"  {in_line(row.note)}" if row.note else ""
    at = Text(f"{local(_moment(row))} ", style="dim")
    state = styled_state(row.state.value)
    state.pad_right(10 - len(state))
    return Text.assemble(at, state, f"{row.id} {in_line(row.task)}{why}")
