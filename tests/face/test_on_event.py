"""A sink of the user's own: told of everything that happens in its process, and of no use to anybody else's speed."""

import threading
from typing import Any

import pytest
from fastapi import FastAPI

from postlude import BackgroundTasks, Postlude, Snooze, current_job, task
from postlude.errors import CallError
from postlude.events import AttemptEnded, AttemptFailed, CallsDiscarded, Event
from tests.face.conftest import Make, Serve


async def fine() -> None: ...


def broken() -> None:
    raise ValueError


@task(retries=1, backoff=0.01)
async def once_more() -> None:
    if current_job().attempt == 1:
        raise ConnectionError


async def later() -> None:
    if not hasattr(later, "asked"):
        vars(later)["asked"] = True
        raise Snooze(0.01)


def serving(make: Make, *tasks: Any) -> tuple[FastAPI, Postlude, list[Event]]:
    app, durable = make()
    heard: list[Event] = []
    durable.on_event(heard.append)

    @app.post("/")
    async def endpoint(background: BackgroundTasks) -> list[str]:
        return [str(background.options(ordered=False).add_task(each).id) for each in tasks]

    @app.post("/raises")
    async def raises(background: BackgroundTasks) -> None:
        background.add_task(fine)
        message = "no stock"
        raise ValueError(message)

    return app, durable, heard


def ends(heard: list[Event]) -> dict[str, list[tuple[int, str]]]:
    found: dict[str, list[tuple[int, str]]] = {}
    for event in heard:
        if isinstance(event, AttemptEnded):
            assert event.waited is not None
            assert event.waited >= 0
            assert event.ran >= 0
            found.setdefault(event.task.rpartition(":")[2], []).append((event.attempt, event.outcome))
    return found


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)  # where somebody claims what is tried again
def test_a_subscriber_hears_how_each_attempt_ends(make: Make, serve: Serve) -> None:
    vars(later).pop("asked", None)
    app, durable, heard = serving(make, fine, broken, once_more, later)
    with serve(app) as client:
        ids = client.post("/").json()
        for job_id in ids:
            durable.blocking.jobs.wait(job_id, timeout=10)
    assert ends(heard) == {
        "fine": [(1, "succeeded")],
        "broken": [(1, "failed")],
        "once_more": [(1, "failed"), (2, "succeeded")],
        "later": [(1, "snoozed"), (1, "succeeded")],
    }
    [failed] = [event for event in heard if isinstance(event, AttemptFailed) and event.again_in is None]
    assert isinstance(failed.error, ValueError), "what Sentry wants to see"


def test_a_subscriber_hears_of_calls_that_are_discarded(make: Make, serve: Serve) -> None:
    app, _, heard = serving(make)
    with serve(app) as client, pytest.raises(ValueError, match="no stock"):
        client.post("/raises")
    assert [type(event) for event in heard] == [CallsDiscarded]


def test_what_was_not_stored_says_so(make: Make, serve: Serve) -> None:
    ran = threading.Event()
    app, _, heard = serving(make, lambda: ran.set())  # noqa: PLW0108 - a lambda cannot be stored
    with serve(app) as client:
        client.post("/")
        assert ran.wait(10)
    [ended] = [event for event in heard if isinstance(event, AttemptEnded)]
    assert (ended.outcome, ended.stored, ended.waited) == ("succeeded", False, None)


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_since_when_a_follower_was_due_is_not_made_up(make: Make, serve: Serve) -> None:
    """It was due when the one before it had ended, and nobody notes that."""
    app, durable, heard = serving(make)

    @app.post("/chain")
    async def chain(background: BackgroundTasks) -> str:
        background.add_task(fine)
        return str(background.add_task(fine).id)

    with serve(app) as client:
        durable.blocking.jobs.wait(client.post("/chain").json(), timeout=10)
    first, second = (event for event in heard if isinstance(event, AttemptEnded))
    assert first.waited is not None
    assert second.waited is None


def test_a_subscriber_that_raises_harms_no_job(make: Make, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    app, durable, _ = serving(make, fine)

    @durable.on_event
    def sink(event: Event) -> None:
        message = "the sink is full"
        raise OSError(message)

    with serve(app) as client:
        [job_id] = client.post("/").json()
        assert durable.blocking.jobs.wait(job_id, timeout=10).state == "succeeded"
    assert "the sink is full" in capsys.readouterr().err
    assert sink.__name__ == "sink", "it is a decorator, too"


async def asynchronous(event: Event) -> None: ...


@pytest.mark.parametrize("wrong", [asynchronous, None, "print"])
def test_what_nobody_would_call_is_refused(make: Make, wrong: Any) -> None:
    _, durable = make()
    with pytest.raises(CallError, match="expected a `def` function that takes an event, got"):
        durable.on_event(wrong)


def test_without_a_subscriber_no_attempt_is_looked_at(make: Make, serve: Serve) -> None:
    app, durable = make()
    ran = threading.Event()

    @app.post("/")
    async def endpoint(background: BackgroundTasks) -> None:
        background.add_task(lambda: ran.set())  # noqa: PLW0108 - any call will do

    with serve(app) as client:
        client.post("/")
        assert ran.wait(10)
    assert durable._runtime.events.counts["AttemptEnded"] == 0


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_a_delay_is_no_wait(make: Make, serve: Serve) -> None:
    """A job waits from the moment at which it is due, and not from the one at which it was added."""
    app, durable, heard = serving(make)
    with serve(app):
        job = durable.blocking.options(delay=1.0).enqueue(fine)
        durable.blocking.jobs.wait(job.id, timeout=10)
    [ended] = [event for event in heard if isinstance(event, AttemptEnded)]
    assert ended.waited is not None
    assert ended.waited < 1.0
