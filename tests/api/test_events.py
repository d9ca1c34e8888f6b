"""Server-sent events: what comes, what does not, and when they end."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import Depends

from postlude import BackgroundTasks, progress
from postlude.api import events
from postlude.services import streams
from tests.api.asgi import Answer, serving
from tests.api.conftest import Site, gate, owner_only, signed_in
from tests.engine.fakes import until


async def logs(name: str) -> str:
    for number in range(3):
        logging.getLogger("app").warning("line %s, password=%s", number, "geheim")
    await gate(name).wait()
    logging.getLogger("app").warning("done")
    return "fine"


async def logging_job(site: Site) -> str:
    job = await site.durable.enqueue(logs, "logs")
    return f"/jobs/{job.id}/events"


async def test_from_its_state_to_its_end(site: Site) -> None:
    where = await site.add("works")
    stream = await site.ask(f"{where}/events").begin()
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-store, no-transform", "no")
    seen = [await stream.event()]
    gate("works").set()
    while seen[-1].name != "end":
        seen.append(await stream.event())
    assert {event.name for event in seen} <= {"state", "progress", "end"}
    assert seen[-1].data["state"] == "succeeded"
    assert seen[-1].data["result"] == {"name": "works", "api_key": "[masked]"}
    await stream.end()
    assert stream.text.startswith("retry: ")


async def steps(name: str) -> None:
    progress(1, 3, "begun")
    await gate("step").wait()
    progress(2, 3, "on")
    await gate(name).wait()


async def far(stream: Answer) -> tuple[float, str]:
    """How far the next event says that the job has come, and the note; it may be one of the state, or of that alone."""
    event = await stream.event("state", "progress")
    told = event.data if event.name == "progress" else event.data["progress"]
    return (0, "") if told is None else (told["done"], told["note"])


async def test_what_has_come_further_alone_is_an_event_of_its_own(site: Site) -> None:
    job = await site.durable.enqueue(steps, "steps")
    stream = await site.ask(f"/jobs/{job.id}/events", user="viewer").begin()
    while (await far(stream))[0] != 1:
        pass
    gate("step").set()
    event = await stream.event()
    assert (event.name, event.data) == ("progress", {"done": 2.0, "total": 3.0, "note": "on"})
    gate("steps").set()
    await stream.end()
    assert stream.events[-1].data["attempts"] == 1


async def test_a_stream_that_has_nothing_to_say_is_kept_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.05)
    monkeypatch.setattr(events, "new_token", lambda: 7_042)
    stream = await site.ask(f"{await site.add('works')}/events").begin()
    while "\n\n: \n\n" not in stream.text:
        assert await stream._chunk(), "no comment came"
    assert stream.text.startswith("retry: 2042\n\n"), "not all of them come again at once"
    stream.leave()
    await stream.running


async def test_log_lines_masked_and_only_for_those_who_may_see_the_job(site: Site, open_site: Site) -> None:
    where = await logging_job(site)
    seeing, guessing = await site.ask(where, user="viewer").begin(), await open_site.ask(where).begin()
    lines = [await seeing.event("log") for _ in range(3)]
    assert [line.data["message"] for line in lines] == [f"line {n}, password=[masked]" for n in range(3)]
    gate("logs").set()
    await seeing.end()
    await guessing.end()
    assert "geheim" not in seeing.text + guessing.text
    assert "log" not in {event.name for event in guessing.events}
    assert [event.name for event in seeing.events][-2:] == ["log", "end"]


async def test_whoever_was_cut_off_goes_on_from_there(site: Site) -> None:
    where = await logging_job(site)
    stream = await site.ask(where, user="viewer").begin()
    first = [await stream.event("log") for _ in range(2)]
    stream.leave()
    await stream.running
    gate("logs").set()
    again = await site.ask(where, user="viewer", last_event_id=first[-1].id).end()
    lines = [event.data["message"][:6] for event in [*first, *again.events] if event.name == "log"]
    assert lines == ["line 0", "line 1", "line 2", "done"]
    done = await site.ask(where, user="viewer", last_event_id=again.events[-1].id).end()
    assert (done.status, done.text) == (204, "")


async def test_a_state_that_is_known_is_not_told_again(site: Site) -> None:
    where = await site.add("works")
    stream = await site.ask(f"{where}/events").begin()
    known = await stream.event("state")
    while known.data["state"] != "running":
        known = await stream.event("state")
    stream.leave()
    await stream.running
    again = await site.ask(f"{where}/events", last_event_id=known.id).begin()
    gate("works").set()
    await again.end()
    assert [event.name for event in again.events] == ["end"]


@pytest.mark.parametrize("nonsense", ["", "x", "9" * 40, "1-2-3", "-1-00000000", "²-00000000", "1-00000000-end"])
async def test_an_id_of_somebody_else(site: Site, nonsense: str) -> None:
    where = await site.add("works")
    gate("works").set()
    named = site.ask(f"{where}/events", user="ann")
    answer = await Answer(site.app, f"{where}/events", headers={"x-user": "ann", "last-event-id": nonsense}).begin()
    assert answer.status in {200, 204}
    for each in (named, answer):
        await each.end()


async def test_what_authorize_has_opened_is_closed_before_anybody_listens(place: str) -> None:
    opened = 0

    async def database() -> AsyncIterator[str]:
        nonlocal opened
        opened += 1
        yield "session"
        opened -= 1

    async def authorize(_: Annotated[str, Depends(database)], allowed: Annotated[bool, Depends(owner_only)]) -> bool:
        assert opened == 1
        return allowed

    site = Site(place, authorize, shutdown_grace=0)
    async with serving(site.app):
        stream = await site.ask(f"{await site.add('works')}/events").begin()
        assert opened == 0
        await stream.event()
        stream.leave()
        await stream.running


async def test_a_client_that_leaves_is_not_listened_for_any_more(site: Site) -> None:
    stream = await site.ask(f"{await site.add('works')}/events").begin()
    await stream.event()
    (lookout,) = site.durable._hub._lookouts.values()
    assert len(lookout._jobs) == 1
    stream.leave()
    await stream.running
    assert lookout._jobs == {}


async def test_a_stream_has_an_end_so_that_it_is_asked_again_who_may_see_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST", 0.05)
    stream = await site.ask(f"{await site.add('works')}/events").end()
    assert "end" not in {event.name for event in stream.events}


async def test_streams_end_when_the_process_is_told_to(place: str) -> None:
    site = Site(place, owner_only, shutdown_grace=0)
    async with serving(site.app):
        stream = await site.ask(f"{await site.add('works')}/events").begin()
        await stream.event()
        site.durable._runtime.grace.begin()
        await stream.end()
        assert "end" not in {event.name for event in stream.events}


async def test_what_is_retried_is_told_on(site: Site) -> None:
    gate("fails").set()
    where = await site.add("fails")
    ended = await site.ask(f"{where}/events").end()
    assert "geheim" not in ended.text
    assert (ended.events[-1].name, ended.events[-1].data["error"]["type"]) == ("end", "ConnectionError")
    gate("fails").clear()
    assert (await site.ask(f"{where}/retry", method="POST").end()).status == 202
    again = await site.ask(f"{where}/events", last_event_id=ended.events[-1].id).begin()
    assert (await again.event()).name == "state"
    gate("fails").set()
    await again.end()
    assert again.events[-1].name == "end"


async def test_a_task_that_authorize_adds_is_run(place: str) -> None:
    """Such as the line of an audit log: after the stream, as after any answer. A lambda is run by the response."""
    ran: list[str] = []

    async def authorize(tasks: BackgroundTasks, _: Annotated[str, Depends(signed_in)]) -> bool:
        tasks.add_task(lambda: ran.append("lambda"))
        tasks.options(ordered=False).add_task(ran.append, "stored")
        return True

    site = Site(place, authorize, shutdown_grace=0)
    async with serving(site.app):
        gate("works").set()
        await site.ask(f"{await site.add('works')}/events").end()
        await until(lambda: sorted(ran) == ["lambda", "stored"])
