"""Retrying, cancelling and deleting many jobs: first a question with their number, then the deed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse

from postlude.client.bulk import CANCEL, DELETE, RETRY, Bulk, to_each
from postlude.dashboard.asked import AskedFor
from postlude.dashboard.cookies import root_of, say
from postlude.dashboard.routing import Page
from postlude.dashboard.visitors import must_act
from postlude.dashboard.wording import plural
from postlude.errors import UnknownValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from postlude.client.bulk import Deed
    from postlude.client.wanted import Wanted
    from postlude.dashboard.routing import Asked
    from postlude.stores.contract import Filter

_SHOWN: Final = 10


DEEDS: Final = {deed.word: deed for deed in (RETRY, CANCEL, DELETE)}


async def ask(asked: Asked) -> Response:
    """How many it would be, and whether that is meant."""
    must_act(asked.visitor)
    site, now = asked.site, asked.site.clock.now()
    deed = _deed(asked.query("do"))
    wanted = AskedFor.read(asked.query)
    ids = asked.request.query_params.getlist("id")
    matching = _matching(wanted, deed, now)
    # What is chosen may have moved on since: those that can be acted upon are counted when it is done.
    count = f"{len(ids):,}" if ids else (await site.views.counts(matching)).text()
    sample = [] if ids or not matching.states else (await site.views.jobs(matching, limit=_SHOWN)).rows
    return site.pages.render(
        asked.request,
        "bulk",
        asked.visitor,
        current="jobs",
        do=deed.word,
        ids=ids,
        count=count if matching.states else "0",
        asked=wanted,
        until=now,
        rows=sample,
        states=sorted(matching.states or deed.possible),
        # Of a text the store knows only where it stands, and not what of it is shown.
        paced=deed is RETRY and not ids and not wanted.text,
    )


async def do(asked: Asked) -> Response:
    """Do it, for those that were counted: what was added since is left alone."""
    deed = _deed(asked.field("do"))
    wanted = AskedFor.read(asked.field)
    chosen, rate = list(asked.form.get("id", ())), asked.field("rate") or None
    matching = _matching(wanted, deed, _moment(asked.field("until")))
    target = "some jobs, until it was cut off"
    try:
        done = await _done(asked, deed, matching, chosen, rate)
        target = plural(done.done, "job")
    finally:
        pace = f", {rate}" if rate else ""
        said = f"{target}: {'chosen' if chosen else wanted.in_words()}{pace}"
        await asked.site.note(asked.visitor, deed.word, said, ids=chosen or None)
    response = RedirectResponse(f"{root_of(asked.request)}/jobs{wanted.query()}", 303)
    left = f" {plural(done.left, 'job was', 'jobs were')} left as they are. {done.why or ''}" if done.left else ""
    say(
        response,
        asked.request,
        f"{plural(done.done, 'job was', 'jobs were')} {deed.done}.{left}",
        good=not done.left,
    )
    return response


async def _done(asked: Asked, deed: Deed, matching: Filter, chosen: Sequence[str], rate: str | None) -> Bulk:
    if chosen:
        return await _by_one(asked, deed, chosen)
    if not matching.states:
        return Bulk(0, 0, None)
    if matching.text:
        return await _by_one(asked, deed, [str(job_id) for job_id in await asked.site.views.ids(matching)])
    return await _by_filter(asked, deed, matching, rate)


async def _by_filter(asked: Asked, deed: Deed, matching: Filter, rate: str | None) -> Bulk:
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
    if deed is RETRY:
        return await jobs.retry_many(rate=rate, **wanted)
    if deed is CANCEL:
        return await jobs.cancel_many(reason=f"cancelled by {asked.visitor.name}", **wanted)
    return await jobs.delete_many(**wanted)


async def _by_one(asked: Asked, deed: Deed, ids: Sequence[str]) -> Bulk:
    """Do it to these."""
    jobs = asked.site.jobs
    if deed is RETRY:
        return await to_each(ids, jobs.retry)
    if deed is CANCEL:
        return await to_each(ids, lambda job_id: jobs.cancel(job_id, reason=f"cancelled by {asked.visitor.name}"))
    return await to_each(ids, jobs.delete)


def _deed(name: str) -> Deed:
    if name not in DEEDS:
        message = f"do: expected one of {', '.join(DEEDS)}, got {name!r}."
        raise UnknownValue(message)
    return DEEDS[name]


def _moment(text: str) -> float:
    if not text.replace(".", "", 1).isdecimal():
        message = f"until: expected seconds since the epoch, got {text!r}."
        raise UnknownValue(message)
    return float(text)


def _matching(wanted: AskedFor, deed: Deed, until: float) -> Filter:
    """Those of the jobs asked for with which that can be done; without any states if there can be none."""
    asked = wanted.filter(until)
    return asked._replace(states=(asked.states & deed.possible) if asked.states else deed.usual, until=until)


PAGES: Final = (Page("/bulk", ask), Page("/bulk", do, changes=True))
