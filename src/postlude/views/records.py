"""From a job as the store has it to what is shown of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from postlude.context import read_origin
from postlude.errors import UnknownTask
from postlude.job import JobState
from postlude.jobpolicy import policy_of
from postlude.views.jobs import JobRow, JobView, Line, Neighbour, Span
from postlude.views.values import Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postlude.definition import TaskDefinition
    from postlude.job import Attempt, Record
    from postlude.loglines import LogLine
    from postlude.masking import Masking
    from postlude.registry import Registry
    from postlude.views.jobs import Argument

LONGEST_NOTE: Final = 200
"""Characters of a note in a list."""


class Known(NamedTuple):
    """What is needed to show jobs."""

    registry: Registry
    masking: Masking

    def definition(self, task: str) -> TaskDefinition | None:
        """That of a task; None: it is not known here."""
        try:
            return self.registry.find(task)
        except UnknownTask:
            return None

    def shown(self, task: str, arguments: str | None) -> Shown:
        """The values of a job, and its texts, masked.

        Args:
            task: its name.
            arguments: of its call, as they are stored.
        """
        return self.shown_of(self.definition(task), arguments)

    def shown_of(self, definition: TaskDefinition | None, arguments: str | None) -> Shown:
        """The same of a call whose definition is at hand: by its name another may be found, or none."""
        return Shown(self.masking, definition, arguments)


class All(NamedTuple):
    """All that the store has of one job."""

    record: Record
    attempts: Sequence[Attempt]
    lines: Sequence[LogLine]
    chain: Sequence[Record]
    """In their order."""


def row_of(record: Record, known: Known) -> JobRow:
    """A line of a list."""
    # Which reads the arguments, that may be a megabyte, only where there is a text that may repeat their secrets.
    shown = known.shown(record.task, record.arguments)
    progress = record.progress
    if progress is not None and progress.note is not None:
        progress = progress._replace(note=shown.text(progress.note))
    return JobRow(
        id=record.id,
        task=record.task,
        state=record.state,
        queue=record.queue,
        priority=record.priority,
        key=record.key,
        partition=record.partition,
        attempts=record.attempt,
        interruptions=record.interruptions,
        created_at=record.created_at,
        run_at=record.run_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        progress=progress,
        note=_note(record, shown),
        ephemeral=record.ephemeral,
        waiting=record.waiting,
        cancel_requested=record.cancel_requested,
        known=known.registry.knows(record.task),
    )


def view_of(found: All, known: Known) -> JobView:
    """The page of a job."""
    record = found.record
    shown = known.shown(record.task, record.arguments)
    arguments, arguments_note = _arguments(record, shown)
    result, result_note = (None, None) if record.result is None else shown.result(record.result)
    saved = None if record.saved is None else shown.value("saved", record.saved)
    failure = record.failure
    return JobView(
        row=row_of(record, known),
        arguments=arguments,
        arguments_note=arguments_note,
        result=result,
        result_note=result_note,
        saved=saved,
        origin=shown.json(read_origin(record.origin)),
        policy=policy_of(record),
        reason=None if record.reason is None else shown.text(record.reason),
        error_type=None if failure is None else failure.type,
        message=None if failure is None else shown.text(failure.message),
        traceback=None if failure is None else shown.text(failure.traceback),
        spans=_spans(record, found.attempts, shown),
        log=[Line(line.at, line.level, line.logger, shown.text(line.message), line.attempt) for line in found.lines],
        chain=[
            Neighbour(each.id, each.task, each.state, each.waiting, this=each.id == record.id) for each in found.chain
        ],
        cancelled_by=record.cancelled_by,
        expires_at=record.expires_at,
        can=_can(record),
    )


def text_shown(record: Record, known: Known) -> str:
    """Where a search looks for a text in a job: what is shown of it, arguments as JSON."""
    shown = known.shown(record.task, record.arguments)
    arguments, _ = _arguments(record, shown)
    failure = record.failure
    parts = [f"{each.name} {_as_text(each.value)}" for each in arguments]
    parts += [] if failure is None else [failure.type, shown.text(failure.message), shown.text(failure.traceback)]
    parts += [] if record.reason is None else [shown.text(record.reason)]
    return "\n".join(parts)


def _as_text(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _note(record: Record, shown: Shown) -> str | None:
    failure, reason = record.failure, record.reason
    if record.state is JobState.SUCCEEDED:
        return None
    if failure is None or record.state is JobState.CANCELLED:
        note = None if reason is None else shown.text(reason)
    else:
        # A secret may have several lines.
        lines = shown.text(failure.message).strip().splitlines()
        note = f"{failure.type}: {lines[0]}" if lines else failure.type
    return note if note is None or len(note) <= LONGEST_NOTE else f"{note[: LONGEST_NOTE - 1]}…"


def _arguments(record: Record, shown: Shown) -> tuple[Sequence[Argument], str | None]:
    if record.ephemeral:
        return (), "They never left the process that added it: the call could not be stored."
    if record.erased:
        return (), "They were erased when it ended (keep_arguments=False)."
    try:
        return shown.arguments(), None
    except (ValueError, KeyError, TypeError):
        return (), "They are not in the form that Postlude writes."


def _spans(record: Record, attempts: Sequence[Attempt], shown: Shown) -> list[Span]:
    spans = [
        Span(
            attempt.number,
            attempt.outcome,
            attempt.started_at,
            attempt.ended_at,
            None if attempt.failure is None else attempt.failure.type,
            None if attempt.failure is None else shown.text(attempt.failure.message),
            None if attempt.failure is None else shown.text(attempt.failure.traceback),
            None if attempt.reason is None else shown.text(attempt.reason),
        )
        for attempt in attempts
    ]
    if record.state is JobState.SUCCEEDED:
        spans.append(Span(record.attempt, "succeeded", record.started_at, record.finished_at))
    elif record.state is JobState.RUNNING:
        spans.append(Span(record.attempt, "running", record.started_at, None))
    return spans


def _can(record: Record) -> frozenset[str]:
    can = set()
    if record.state.finished:
        can.add("delete")
        if record.state is not JobState.SUCCEEDED and not record.ephemeral and not record.erased:
            can.add("retry")
    elif not record.cancel_requested:
        can.add("cancel")
    return frozenset(can)
