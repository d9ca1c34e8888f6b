"""Applications as users write them, on a store of their own, served in this process in both ways."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Job, Postlude
from tests.face.holding import let_go, ran, started

Make = Callable[..., tuple[FastAPI, Postlude]]
Serve = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture(autouse=True)
def a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.startswith("POSTLUDE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def url(empty_place: str) -> str:
    """Where the store is."""
    return empty_place


@pytest.fixture
def make(url: str) -> Iterator[Make]:
    """`app = FastAPI(...); durable = Postlude(app, ...)`: FastAPI's options in a dict, Postlude's by name."""
    made: list[Postlude] = []

    def make(fastapi: dict[str, Any] | None = None, **options: Any) -> tuple[FastAPI, Postlude]:
        app = FastAPI(**(fastapi or {}))
        durable = Postlude(app, **{"url": url, "shutdown_grace": 5, **options})
        made.append(durable)
        return app, durable

    yield make
    for durable in made:
        durable.blocking.close()


@pytest.fixture(params=["immediate", "embedded"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """A client of the application: without its lifespan, where a request runs its own tasks; and with the worker."""
    embedded = request.param == "embedded"

    @contextmanager
    def serve(app: FastAPI, **options: Any) -> Iterator[TestClient]:
        client = TestClient(app, **options)
        if embedded:
            with client:
                yield client
        else:
            yield client

    return serve


@pytest.fixture
def embedded(serve: Serve, request: pytest.FixtureRequest) -> bool:
    return "embedded" in request.node.callspec.id


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is logged as a warning or an error that is none."""
    caplog.set_level(logging.INFO, "postlude")
    yield
    records = [*caplog.get_records("setup"), *caplog.get_records("call")]
    said = [
        record.getMessage()
        for record in records
        if record.levelno >= logging.WARNING
        and "store /" not in record.getMessage()
        and not record.getMessage().startswith("disabled by POSTLUDE_DISABLED")  # test_disabled.py says when
    ]
    assert said == []


@pytest.fixture
def from_nothing() -> Iterator[None]:
    """Nothing has run or started yet; and whoever still waits to be let go is, at the end."""
    ran.clear()
    started.clear()
    let_go.clear()
    yield
    let_go.set()


async def until(condition: Callable[[], object]) -> None:
    """Give way to others until it holds; the test's own timeout ends it if it never does."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread or has no event
        await asyncio.sleep(0)


def ended(durable: Postlude, *ids: str) -> list[Job[Any]]:
    """The jobs, when they have ended."""
    return [durable.blocking.jobs.wait(one, timeout=30) for one in ids]
