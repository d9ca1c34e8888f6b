"""`POSTLUDE_DISABLED=1` is said once, so that nobody counts on what is not kept, and what is stored meanwhile stays."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import JobState, Postlude
from postlude.errors import WaitTimeout
from tests.face.conftest import Make, Serve

SAID = (
    "disabled by POSTLUDE_DISABLED: background tasks are FastAPI's own, and are kept nowhere; jobs that wait stay "
    "where they are until it is unset"
)

ran: list[str] = []


@pytest.fixture(autouse=True)
def disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    ran.clear()


def note(what: str) -> None:
    ran.append(what)


def test_it_is_a_warning_and_said_once(make: Make, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "postlude")
    app, durable = make()
    sub = FastAPI()
    durable.install(sub)
    app.mount("/sub", sub)
    with serve(app) as client:
        client.get("/")
    assert caplog.record_tuples == [("postlude", logging.WARNING, SAID)]


def test_an_application_that_is_not_disabled_does_not_say_it(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "0")
    make()
    assert SAID not in caplog.messages


def test_it_is_heard_where_nobody_configured_logging(tmp_path: Path) -> None:
    program = "from fastapi import FastAPI; from postlude import Postlude; Postlude(FastAPI())"
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stderr == f"WARNING:     postlude: {SAID}\n"
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_what_is_enqueued_is_stored_and_waits_until_it_is_unset(
    make: Make, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, durable = make()
    with TestClient(app):
        job = durable.blocking.enqueue(note, "it")
        assert job.state is JobState.QUEUED
        with pytest.raises(WaitTimeout):
            durable.blocking.jobs.wait(job.id, timeout=0.05)
    assert ran == []
    monkeypatch.delenv("POSTLUDE_DISABLED")
    app = FastAPI()
    enabled = Postlude(app, url=url)
    with TestClient(app):
        assert enabled.blocking.jobs.wait(job.id, timeout=30).state is JobState.SUCCEEDED
    assert ran == ["it"]
