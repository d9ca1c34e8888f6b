"""`postlude jobs retry`, `cancel` and `delete`: of the jobs that are named, or of all that are meant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.progress import Progress

from postlude.cli.codes import DONE, REFUSED
from postlude.cli.noting import note
from postlude.cli.printing import counted, in_line
from postlude.cli.running import on_store
from postlude.cli.wanted import Which
from postlude.client.bulk import CANCEL, DELETE, RETRY, Bulk, to_each
from postlude.client.wanted import filter_of, id_of
from postlude.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from postlude.cli.opened import Opened
    from postlude.client.bulk import Deed, Told
    from postlude.client.wanted import Wanted
    from postlude.views.jobs import Counts

    One = Callable[[str], Awaitable[object]]
    Many = Callable[[Told], Awaitable[Bulk]]

_Ids = Annotated[list[str] | None, typer.Argument(metavar="JOB", show_default=False, help="These, by their ids.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_Dry = Annotated[bool, typer.Option("--dry-run", help="Say how many jobs are meant, and change nothing.")]


class _Meant(NamedTuple):
    """What the command line says of the jobs, and of asking."""

    ids: Sequence[str] | None
    which: Which
    wanted: Wanted
    """What that comes to."""
    yes: bool
    dry_run: bool


@on_store(which=Which)
async def retry(
    opened: Opened,
    job: _Ids = None,
    *,
    which: Which,
    rate: Annotated[
        str | None,
        typer.Option(metavar="50/min", show_default=False, help="Have them start one after the other, at this rate."),
    ] = None,
    yes: _Yes = False,
    dry_run: _Dry = False,
) -> int:
    """Have failed or cancelled jobs run again, with the followers that their failure cancelled.

    By options: the failed ones that match, those added first before the others; cancelled ones with
    `--state cancelled`. What has failed together fails together again if all of it starts at once: `--rate` spreads it.

    Exit code: 0 if all of them were queued, 1 if some could not be, or if you said no.
    """
    if job and rate is not None:
        message = "--rate is for jobs that are meant by options, such as --failed-since 2h, and not by their ids."
        raise CallError(message)
    if which.text is not None and rate is not None:
        message = "--rate does not go with --text: leave one of them out."
        raise CallError(message)
    wanted = which.wanted_now(opened)
    meant = _Meant(job, which, wanted, yes=yes, dry_run=dry_run)
    return await _do(
        opened, RETRY, meant, opened.jobs.retry, lambda told: opened.jobs.retry_many(rate=rate, told=told, **wanted)
    )


@on_store(which=Which)
async def cancel(
    opened: Opened,
    job: _Ids = None,
    *,
    which: Which,
    reason: Annotated[str, typer.Option(help="Why, for others to read.")] = "cancelled on request",
    yes: _Yes = False,
    dry_run: _Dry = False,
) -> int:
    """Cancel jobs, and those behind them in their chains. A running one is asked to end.

    Exit code: 0 if all of them were, 1 if some had ended already, or if you said no.
    """
    wanted = which.wanted_now(opened)
    return await _do(
        opened,
        CANCEL,
        _Meant(job, which, wanted, yes=yes, dry_run=dry_run),
        lambda job_id: opened.jobs.cancel(job_id, reason=reason),
        lambda told: opened.jobs.cancel_many(reason=reason, told=told, **wanted),
    )


@on_store(which=Which)
async def delete(opened: Opened, job: _Ids = None, *, which: Which, yes: _Yes = False, dry_run: _Dry = False) -> int:
    """Remove jobs that have ended, with all that is known of them.

    Exit code: 0 if all of them were removed, 1 if some could not be, or if you said no.
    """
    wanted = which.wanted_now(opened)
    meant = _Meant(job, which, wanted, yes=yes, dry_run=dry_run)
    return await _do(
        opened, DELETE, meant, opened.jobs.delete, lambda told: opened.jobs.delete_many(told=told, **wanted)
    )


async def _do(opened: Opened, deed: Deed, meant: _Meant, one: One, many: Many) -> int:
    """Do it to all that are meant, after it was said how many those are; returns the exit code."""
    if meant.ids and meant.which.said():
        message = "Give the ids of jobs, or options that say which: not both."
        raise CallError(message)
    if meant.ids:
        for each in meant.ids:
            id_of(each)  # before the first is changed
        came = await _noted(opened, deed, meant, _one_by_one(meant.ids, one))
    elif not meant.which.said():
        message = f"Say which jobs: by their ids, or by options. All of a kind: --state {min(deed.usual)}."
        raise CallError(message)
    else:
        chosen = filter_of(meant.wanted, opened.place.registry, opened.clock.now())
        chosen = chosen._replace(states=chosen.states or deed.usual)
        counts = await opened.views.counts(chosen)
        if not _agreed(opened, deed, meant, counts):
            return DONE if meant.dry_run else REFUSED
        with Progress(console=opened.out.errors, transient=True, disable=not opened.out.errors.is_terminal) as bar:
            line = bar.add_task(deed.word, total=None)
            if chosen.text is None:
                doing = many(lambda done, of: bar.update(line, completed=done, total=of))
            else:  # of a text the store knows only where it stands, and not what of it is shown, and was counted
                doing = to_each([str(job_id) for job_id in await opened.views.ids(chosen)], one)
            came = await _noted(opened, deed, meant, doing)
    if came.why is not None:
        opened.out.note(f"{counted(came.left, 'job')} could not be. {came.why}")
    opened.out.show(came._asdict(), f"{counted(came.done, 'job')} {deed.done}.")
    return REFUSED if came.left else DONE


async def _noted(opened: Opened, deed: Deed, meant: _Meant, doing: Awaitable[Bulk]) -> Bulk:
    """What it comes to, written into the audit log; also when it is cut off, but not if nothing came of it."""
    ids = meant.ids or ()
    target = None if len(ids) == 1 else "some jobs, until it was cut off"
    try:
        came = await doing
        target = None if ids and not came.done else ids[0] if len(ids) == 1 else f"{came.done} jobs"
    finally:
        if target is not None:
            which = None if ids else meant.which.said()
            await note(opened, deed.word, target, ids=ids if len(ids) > 1 else None, which=which)
    return came


def _agreed(opened: Opened, deed: Deed, meant: _Meant, counts: Counts) -> bool:
    """Whether whoever runs the command wants it, knowing how many jobs it is about."""
    out = opened.out
    said = f"{counts.text()} job{'' if counts.total == 1 else 's'} to {deed.word}, in {in_line(opened.location)}."
    if meant.dry_run:
        out.show({"jobs": counts.total, "more": bool(counts.more)}, said)
        return False
    if meant.yes or not (counts.total or counts.more):
        return True
    if not sys.stdin.isatty():
        out.note(f"{said} Nobody is there to be asked: add --yes.")
        return False
    return out.ask(f"{said} Go on?")


async def _one_by_one(ids: Sequence[str], one: One) -> Bulk:
    """Do it to those that were named; what is in the way of a single one ends the command."""
    if len(ids) == 1:
        await one(ids[0])
        return Bulk(1, 0, None)
    return await to_each(ids, one)
