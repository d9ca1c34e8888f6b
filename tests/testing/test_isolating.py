"""`isolated`, `assert_enqueued` and `raise_failures`: a store for one test, what is in it, and what went wrong."""

import gc
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude
from postlude.errors import NotTestable
from postlude.lifetime.supervisor import Supervisor
from postlude.settings import WorkerMode
from postlude.testing import assert_enqueued, isolated, raise_failures, worker
from tests.testing.application import Order, ran, send, ship
from tests.testing.conftest import open_files


@pytest.mark.parametrize("lifespan", [False, True])
def test_the_store_of_the_application_is_not_touched_and_nothing_stays_open(
    app: FastAPI, tmp_path: Path, *, lifespan: bool
) -> None:
    gc.collect()
    files, threads = open_files(), {*threading.enumerate()}
    with isolated(app):
        client = TestClient(app)
        if lifespan:
            with client:
                client.post("/send/ada")
        else:
            client.post("/send/ada")
        assert len(open_files()) >= len(files)
        assert_enqueued(app, send, "ada", copies=2)
    for thread in {*threading.enumerate()} - threads:
        thread.join(10)
    assert {*threading.enumerate()} == threads
    assert open_files() == files
    assert [*tmp_path.iterdir()] == []


def test_what_was_open_before_is_there_again(app: FastAPI, durable: Postlude, client: TestClient) -> None:
    client.post("/send/before")
    with isolated(durable):
        assert durable.blocking.jobs.list() == []
        client.post("/send/inside")
    client.post("/send/after")
    assert_enqueued(app, send, "before", copies=2)
    assert_enqueued(app, send, "after", copies=2)
    with pytest.raises(AssertionError):
        assert_enqueued(app, send, "inside", copies=2)


def test_it_is_put_back_when_the_block_raises(app: FastAPI, durable: Postlude, client: TestClient) -> None:
    before = durable.settings
    with pytest.raises(KeyError), isolated(app), worker(app):
        raise KeyError
    client.post("/send/ada")
    assert ran == [("send", "ada")]
    assert durable.settings == before
    assert Path(".postlude/jobs.db").exists()


def test_a_started_application_is_refused_and_goes_on(app: FastAPI, durable: Postlude) -> None:
    with isolated(app), TestClient(app) as client:
        with pytest.raises(NotTestable, match="has started already"), worker(app):
            pass
        job = client.post("/send/ada").json()
        assert durable.blocking.jobs.wait(job, timeout=10).state == "succeeded"


@pytest.mark.parametrize("mode", ["off", "process"])
def test_one_that_started_without_a_worker_here_is_refused_too(
    app: FastAPI, durable: Postlude, monkeypatch: pytest.MonkeyPatch, mode: WorkerMode
) -> None:
    monkeypatch.setattr(durable._runtime, "settings", replace(durable.settings, worker=mode))
    monkeypatch.setattr(Supervisor, "start", lambda _: None)
    with TestClient(app), pytest.raises(NotTestable, match="has started already"), isolated(app):
        pass


async def test_the_end_of_the_block_in_a_running_application_is_refused(app: FastAPI) -> None:
    block = isolated(app)
    block.__enter__()
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        if not sent:
            return {"type": "lifespan.startup"}
        with pytest.raises(NotTestable, match="stop it before the end of the block"):
            block.__exit__(None, None, None)
        return {"type": "lifespan.shutdown"}

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)  # type: ignore[arg-type]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_assert_enqueued_gives_the_job_also_in_an_async_test(app: FastAPI, durable: Postlude) -> None:
    with isolated(app):
        added = await durable.enqueue(ship, Order(number=1))
        found = assert_enqueued(app, ship, Order(number=1))
        assert (found.id, found.state) == (added.id, "queued")


def test_the_message_shows_the_jobs_that_are_there(app: FastAPI, client: TestClient) -> None:
    with isolated(app):
        with pytest.raises(AssertionError) as raised:
            assert_enqueued(app, send, "ada")
        assert str(raised.value) == "tests.testing.application:send('ada') was not added. Nothing was."
        client.post("/send/ada")
        client.post("/fail/1")
        with pytest.raises(AssertionError) as raised:
            assert_enqueued(app, send, "eve")
    assert str(raised.value) == (
        "tests.testing.application:send('eve') was not added.\n"
        "What was added:\n"
        "  tests.testing.application:send('ada', copies=2) [succeeded, attempts: 1]\n"
        "  tests.testing.application:send('later ada') [queued, attempts: 0]\n"
        "  tests.testing.application:fail('failure 0') [failed, attempts: 1, ValueError: failure 0]"
    )


# What tasks raise


def test_what_a_task_raises_is_raised_at_the_end_of_the_block(app: FastAPI, client: TestClient) -> None:
    with isolated(app):
        with pytest.raises(ValueError, match="failure 0") as raised, raise_failures(app):
            assert client.post("/fail/1").status_code == 200
        assert raised.value.__notes__ == ["raised by the task tests.testing.application:fail"]
        assert raised.traceback[-1].name == "fail"
        with raise_failures(app):
            client.post("/send/ada")
        with pytest.raises(ValueError, match="not stored"), raise_failures(app):
            client.post("/fail-ephemeral")


def test_several_are_raised_together(app: FastAPI, client: TestClient) -> None:
    with isolated(app), pytest.raises(ExceptionGroup) as raised, raise_failures(app):
        client.post("/fail/3")
    assert sorted(map(str, raised.value.exceptions)) == ["failure 0", "failure 1", "failure 2"]


def test_what_the_block_raises_goes_before_and_says_what_had_failed(app: FastAPI, client: TestClient) -> None:
    def post_and_look() -> None:
        with raise_failures(app):
            client.post("/fail/1")
            raise AssertionError

    with isolated(app), pytest.raises(AssertionError) as raised:
        post_and_look()
    (note,) = raised.value.__notes__
    assert "a task failed: ValueError('failure 0'), raised by the task tests.testing.application:fail" in note


def test_what_is_logged_does_not_hold_on_to_the_exception(
    app: FastAPI, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with isolated(app):
        client.post("/fail/1")
        client.post("/fail-ephemeral")
    events = [record.__dict__["postlude"] for record in caplog.records if record.levelname == "ERROR"]
    assert [(type(event).__name__, event.error) for event in events] == [
        ("AttemptFailed", None),
        ("EphemeralFailed", None),
    ]
