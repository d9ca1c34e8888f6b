"""Retrying, cancelling and deleting many jobs: first a question with their number, then the deed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.responses import RedirectResponse

from postlude.dashboard.asked import AskedFor
from postlude.dashboard.cookies import root_of, say
from postlude.dashboard.routing import Page
from postlude.dashboard.wording import plural
from postlude.errors import IllegalTransition, JobNotFound, KeyTaken, UnknownValue
from postlude.job import FINISHED, UNFINISHED, JobState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from starlette.responses import Response

    from postlude.dashboard.routing import Asked
    from postlude.stores.contract import Filter

MOST: Final = 10_000
"""Jobs that are acted upon at once; who has more asks again."""
_AT_A_TIME: Final = 200
"""Jobs whose changes may share a commit."""
_SHOWN: Final = 10


class Action(NamedTuple):
    """What can be done with many jobs."""

    done: str
    """As in "12 jobs were retried"."""
    states: frozenset[JobState]
    """In which a job has to be for it."""


ACTIONS: Final = {
    "retry": Action("retried", frozenset({JobState.FAILED, JobState.CANCELLED})),
    "cancel": Action("cancelled, or asked to end", UNFINISHED),
    "delete": Action("deleted", FINISHED),
}


async def ask(asked: Asked) -> Response:
    """How many it would be, and whether that is meant."""
    site, now = asked.site, asked.site.clock.now()
    name = _action(asked.query("do"))
    wanted = AskedFor.read(asked.query)
    ids = asked.request.query_params.getlist("id")
    matching = _matching(wanted, ACTIONS[name], now)
    # What is chosen may have moved on since: those that can be acted upon are counted when it is done.
    count = f"{len(ids):,}" if ids else (await site.views.counts(matching, most=MOST)).text()
    sample = [] if ids or not matching.states else (await site.views.jobs(matching, limit=_SHOWN)).rows
    return site.pages.render(
        asked.request,
        "bulk",
        asked.visitor,
        current="jobs",
        do=name,
        ids=ids,
        count=count if matching.states else "0",
        most=MOST,
        asked=wanted,
        until=now,
        rows=sample,
        states=sorted(ACTIONS[name].states),
    )


async def do(asked: Asked) -> Response:
    """Do it, for those that were counted: what was added since is left alone."""
    site = asked.site
    name = _action(asked.field("do"))
    wanted = AskedFor.read(asked.field)
    chosen = list(asked.form.get("id", ()))
    until = _moment(asked.field("until"))
    found = _chosen(chosen) if chosen else _found(asked, _matching(wanted, ACTIONS[name], until))
    done = refused = 0
    async for job_ids in found:
        outcomes = await asyncio.gather(*(_one(_act(asked, name), job_id) for job_id in job_ids))
        done += sum(outcomes)
        refused += len(outcomes) - sum(outcomes)
    target = f"{plural(done, 'job')}: {'chosen' if chosen else wanted.in_words()}"
    await site.note(asked.visitor, name, target)
    response = RedirectResponse(f"{root_of(asked.request)}/jobs{wanted.query()}", 303)
    left = f" {plural(refused, 'job')} could not be: they had moved on." if refused else ""
    say(response, asked.request, f"{plural(done, 'job was', 'jobs were')} {ACTIONS[name].done}.{left}", good=done > 0)
    return response


def _action(name: str) -> str:
    if name not in ACTIONS:
        message = f"do: expected one of {', '.join(ACTIONS)}, got {name!r}."
        raise UnknownValue(message)
    return name


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        message = f"until: expected seconds since the epoch, got {text!r}."
        raise UnknownValue(message) from None


def _matching(wanted: AskedFor, action: Action, until: float) -> Filter:
    """Those of the jobs asked for with which that can be done; without any states if there can be none."""
    asked = wanted.filter(until)
    return asked._replace(states=action.states & (asked.states or action.states), until=until)


async def _chosen(ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    for place in range(0, len(ids), _AT_A_TIME):
        yield ids[place : place + _AT_A_TIME]


async def _found(asked: Asked, matching: Filter) -> AsyncIterator[Sequence[str]]:
    """The ids of what matches, a portion at a time."""
    place, left = None, MOST if matching.states else 0
    while left > 0:
        page = await asked.site.views.jobs(matching, limit=min(left, _AT_A_TIME), place=place)
        yield [str(row.id) for row in page.rows]
        place, left = page.older, left - len(page.rows)
        if place is None:
            return


def _act(asked: Asked, name: str) -> Callable[[str], Awaitable[object]]:
    jobs = asked.site.jobs
    if name == "cancel":
        return lambda job_id: jobs.cancel(job_id, reason=f"cancelled by {asked.visitor.name}")
    return jobs.retry if name == "retry" else jobs.delete


async def _one(act: Callable[[str], Awaitable[object]], job_id: str) -> bool:
    """Whether it could be done."""
    try:
        await act(job_id)
    except (IllegalTransition, JobNotFound, KeyTaken):
        return False
    return True


PAGES: Final = (Page("/bulk", ask), Page("/bulk", do, changes=True))
