"""One job on a terminal, and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from postlude.cli.jsons import as_json
from postlude.cli.printing import in_line, local, plain, span, styled_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from postlude.job import Progress
    from postlude.views import Argument, JobRow, JobView, Line, Neighbour, Span


def row_json(row: JobRow) -> dict[str, Any]:
    """A job of a list for programs."""
    found: dict[str, Any] = as_json(row)
    return found


def job_json(view: JobView) -> dict[str, Any]:
    """One job for programs: what a list has of it, with all the rest beside that."""
    found: dict[str, Any] = as_json(view)
    arguments = {each.name: each.value for each in view.arguments}
    values = {name: _value(each) for name, each in (("result", view.result), ("saved", view.saved))}
    return {**found.pop("row"), **found, "arguments": arguments, **values}


def _value(argument: Argument | None) -> Any:  # noqa: ANN401 - JSON
    return None if argument is None else argument.value


def line_of(line: Line) -> Text:
    """A line of a log."""
    style = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}.get(line.level, "")
    return Text.assemble((f"{local(line.at)} ", "dim"), (f"{line.level:<7} ", style), plain(line.message))


def progress_text(progress: Progress | None) -> str:
    """How far it has come; empty if it does not say."""
    if progress is None:
        return ""
    done = f"{progress.done:g}" if progress.total is None else f"{progress.done:g}/{progress.total:g}"
    return f"{done} {in_line(progress.note or '')}".strip()


def ending(view: JobView) -> RenderableType:
    """What came of a job that was waited for."""
    row = view.row
    took = "" if row.seconds is None else f" in {span(row.seconds)}"
    parts: list[RenderableType] = [Text.assemble(styled_state(row.state.value), f"{took}: {row.id} {row.task}")]
    if view.result is not None:
        parts.append(Text(_pretty(view.result)))
    if view.result_note is not None:
        parts.append(Text(in_line(view.result_note), style="dim"))
    why = view.traceback or view.message or view.reason
    if why is not None and row.note is not None:
        parts.append(Text(plain(why).rstrip(), style="red"))
    return Group(*parts)


def whole(view: JobView) -> RenderableType:
    """All that is known of a job."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(view):
        facts.add_row(Text(name, style="dim"), value if isinstance(value, Text) else Text(in_line(value)))
    parts: list[RenderableType] = [facts]
    for title, inner in (
        ("Arguments", _arguments(view)),
        ("Result", _result(view)),
        ("Saved for the next attempt", _of(view.saved)),
        ("Attempts", [part for each in view.spans for part in _attempt(each)]),
        ("Chain", [_neighbour(each) for each in view.chain] if len(view.chain) > 1 else []),
        ("Log", [_inner(line_of(line)) for line in view.log]),
        ("Now possible", [_inner(Text(f"postlude jobs {each} {view.row.id}")) for each in sorted(view.can)]),
    ):
        if inner:
            parts += [Text(f"\n{title}", style="bold"), *inner]
    return Group(*parts)


def _arguments(view: JobView) -> list[RenderableType]:
    if view.arguments_note:
        return [_inner(Text(in_line(view.arguments_note), style="dim"))]
    return [_inner(Text.assemble((f"{in_line(each.name)} = ", "dim"), _pretty(each))) for each in view.arguments]


def _result(view: JobView) -> list[RenderableType]:
    if view.result_note:
        return [_inner(Text(in_line(view.result_note), style="dim"))]
    return _of(view.result)


def _of(value: Argument | None) -> list[RenderableType]:
    return [] if value is None else [_inner(Text(_pretty(value)))]


def _neighbour(each: Neighbour) -> RenderableType:
    mark, waits = "> " if each.this else "  ", ", waits for the one before" if each.waiting else ""
    return _inner(Text.assemble(mark, f"{each.id} ", styled_state(each.state.value), f" {in_line(each.task)}{waits}"))


def _facts(view: JobView) -> Iterator[tuple[str, str | Text]]:
    row = view.row
    yield "job", str(row.id)
    yield "task", row.task if row.known else f"{row.task} (not known here)"
    yield "state", _state(row)
    if view.reason:
        yield "why", view.reason
    yield "queue", row.queue + (f", priority {row.priority}" if row.priority else "")
    if row.key is not None:
        yield "key", row.key
    if row.partition:
        yield "partition", row.partition
    interrupted = f", {row.interruptions} of them interrupted" if row.interruptions else ""
    yield "attempts", f"{row.attempts}{interrupted}; {view.policy.retries_left} of {view.policy.retries} retries left"
    if row.progress is not None:
        yield "progress", progress_text(row.progress)
    yield "added", local(row.created_at) + "".join(f", {name} {value}" for name, value in view.origin.items())
    if row.run_at > row.created_at:
        yield "due", local(row.run_at)
    if view.expires_at is not None:
        yield "expires", local(view.expires_at)
    if row.started_at is not None:
        yield "started", local(row.started_at)
    if row.finished_at is not None:
        yield "ended", local(row.finished_at) + ("" if row.seconds is None else f", after {span(row.seconds)}")
    if view.cancelled_by is not None:
        yield "cancelled by", f"the failure of {view.cancelled_by}"


def _state(row: JobRow) -> Text:
    notes = [
        note
        for note, holds in (
            ("waiting for the job before it", row.waiting),
            ("asked to cancel", row.cancel_requested and not row.state.finished),
            ("ephemeral: only its own process can run it", row.ephemeral),
        )
        if holds
    ]
    return Text.assemble(styled_state(row.state.value), f" ({'; '.join(notes)})" if notes else "")


def _attempt(attempt: Span) -> Iterator[RenderableType]:
    took = "" if attempt.started_at is None or attempt.ended_at is None else span(attempt.ended_at - attempt.started_at)
    said = Text.assemble(f"{attempt.number}  ", local(attempt.started_at), "  ", styled_state(attempt.outcome))
    yield _inner(said.append(f"  {took}  {in_line(attempt.reason or '')}".rstrip()))
    why = attempt.traceback or (attempt.error_type and f"{attempt.error_type}: {attempt.message or ''}")
    if why:
        yield Padding(Text(plain(why).rstrip(), style="red"), (0, 0, 0, 5))


def _inner(text: Text) -> Padding:
    return Padding(text, (0, 0, 0, 2))


def _pretty(argument: Argument) -> str:
    return plain(json.dumps(argument.value, ensure_ascii=False, indent=2))
