"""Retrying, cancelling and deleting many jobs: first a question with their number, then the deed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import RedirectResponse

from postlude.bulk import RETRIED, Bulk
from postlude.dashboard.asked import AskedFor
from postlude.dashboard.cookies import root_of, say
from postlude.dashboard.routing import Page
from postlude.dashboard.visitors import must_act
from postlude.dashboard.wording import plural
from postlude.errors import IllegalTransition, JobNotFound, KeyTaken, UnknownValue
from postlude.job import FINISHED, UNFINISHED, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from postlude.dashboard.routing import Asked
    from postlude.stores.contract import Filter
    from postlude.wanted import Wanted

_AT_A_TIME: Final = 200
"""Jobs whose changes may share a commit."""
_SHOWN: Final = 10


class Action(NamedTuple):
    """What can be done with many jobs."""

    done: str
    """As in "12 jobs were retried"."""
    usual: frozenset[JobState]
    """Of the jobs in which states it is done, if none is asked for."""
    possible: frozenset[JobState]
    """In which states a job may be for it."""


ACTIONS: Final = {
    "retry": Action("queued again", frozenset({JobState.FAILED}), RETRIED),
    "cancel": Action("cancelled, or asked to end", UNFINISHED, UNFINISHED),
    "delete": Action("deleted", FINISHED, FINISHED),
}


async def ask(asked: Asked) -> Response:
    """How many it would be, and whether that is meant."""
    must_act(asked.visitor)
    site, now = asked.site, asked.site.clock.now()
    name = _action(asked.query("do"))
    wanted = AskedFor.read(asked.query)
    ids = asked.request.query_params.getlist("id")
    matching = _matching(wanted, ACTIONS[name], now)
    # What is chosen may have moved on since: those that can be acted upon are counted when it is done.
    count = f"{len(ids):,}" if ids else (await site.views.counts(matching)).text()
    sample = [] if ids or not matching.states else (await site.views.jobs(matching, limit=_SHOWN)).rows
    return site.pages.render(
        asked.request,
        "bulk",
        asked.visitor,
        current="jobs",
        do=name,
        ids=ids,
        count=count if matching.states else "0",
        asked=wanted,
        until=now,
        rows=sample,
        states=sorted(matching.states or ACTIONS[name].possible),
        # Of a text the store knows only where it stands, and not what of it is shown.
        paced=name == "retry" and not ids and not wanted.text,
    )


async def do(asked: Asked) -> Response:
    """Do it, for those that were counted: what was added since is left alone."""
    name = _action(asked.field("do"))
    wanted = AskedFor.read(asked.field)
    chosen, rate = list(asked.form.get("id", ())), asked.field("rate") or None
    matching = _matching(wanted, ACTIONS[name], _moment(asked.field("until")))
    target = "some jobs, until it was cut off"
    try:
        done = await _done(asked, name, matching, chosen, rate)
        target = plural(done.done, "job")
    finally:
        pace = f", {rate}" if rate else ""
        said = f"{target}: {'chosen' if chosen else wanted.in_words()}{pace}"
        await asked.site.note(asked.visitor, name, said, **({"ids": chosen} if chosen else {}))
    response = RedirectResponse(f"{root_of(asked.request)}/jobs{wanted.query()}", 303)
    left = f" {plural(done.left, 'job was', 'jobs were')} left as they are. {done.why or ''}" if done.left else ""
    say(
        response,
        asked.request,
        f"{plural(done.done, 'job was', 'jobs were')} {ACTIONS[name].done}.{left}",
        good=not done.left,
    )
    return response


async def _done(asked: Asked, name: str, matching: Filter, chosen: Sequence[str], rate: str | None) -> Bulk:
    if chosen:
        return await _by_one(asked, name, chosen)
    if not matching.states:
        return Bulk(0, 0, None)
    if matching.text:
        return await _by_one(asked, name, [str(job_id) for job_id in await asked.site.views.ids(matching)])
    return await _by_filter(asked, name, matching, rate)


async def _by_filter(asked: Asked, name: str, matching: Filter, rate: str | None) -> Bulk:
    """Do it to all that match."""
    jobs = asked.site.jobs
    wanted: Wanted = {
        "state": matching.states,
        "task": matching.task,
        "queue": matching.queue,
        "key": matching.key,
        "since": matching.since,
        "until": matching.until,
    }
    if name == "retry":
        return await jobs.retry_many(rate=rate, **wanted)
    if name == "cancel":
        return await jobs.cancel_many(reason=f"cancelled by {asked.visitor.name}", **wanted)
    return await jobs.delete_many(**wanted)


async def _by_one(asked: Asked, name: str, ids: Sequence[str]) -> Bulk:
    """Do it to these."""
    jobs, refusals = asked.site.jobs, list[str]()

    async def act(job_id: str) -> None:
        try:
            if name == "retry":
                await jobs.retry(job_id)
            elif name == "cancel":
                await jobs.cancel(job_id, reason=f"cancelled by {asked.visitor.name}")
            else:
                await jobs.delete(job_id)
        except (IllegalTransition, JobNotFound, KeyTaken) as refusal:
            refusals.append(str(refusal))

    for place in range(0, len(ids), _AT_A_TIME):
        await asyncio.gather(*map(act, ids[place : place + _AT_A_TIME]))
    return Bulk(len(ids) - len(refusals), len(refusals), refusals[0] if refusals else None)


def _action(name: str) -> str:
    if name not in ACTIONS:
        message = f"do: expected one of {', '.join(ACTIONS)}, got {name!r}."
        raise UnknownValue(message)
    return name


def _moment(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal():
        message = f"until: expected seconds since the epoch, got {text!r}."
        raise UnknownValue(message)
    return float(text)


def _matching(wanted: AskedFor, action: Action, until: float) -> Filter:
    """Those of the jobs asked for with which that can be done; without any states if there can be none."""
    asked = wanted.filter(until)
    return asked._replace(states=(asked.states & action.possible) if asked.states else action.usual, until=until)


PAGES: Final = (Page("/bulk", ask), Page("/bulk", do, changes=True))
