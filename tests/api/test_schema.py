"""Whatever is asked of the routes, they answer as their schema says, and never with 5xx."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI, HTTPException, Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from postlude import Postlude
from postlude.api import events
from tests.dropin.recording import TestClient

CHECKS: Any = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPERATIONS = [
    ("GET", "/jobs/{job_id}"),
    ("GET", "/jobs/{job_id}/events"),
    ("GET", "/jobs/{job_id}/result"),
    ("POST", "/jobs/{job_id}/cancel"),
    ("POST", "/jobs/{job_id}/retry"),
]


async def works(what: object) -> object:
    return what


async def fails() -> None:
    message = "no answer"
    raise ConnectionError(message)


async def returns_what_cannot_be_stored() -> object:
    return object()


async def authorize(request: Request) -> bool | str:
    """Everything that it may say, by chance."""
    said = hash(request.headers.get("last-event-id", request.url.path)) % 5
    if said == 0:
        raise HTTPException(404, "Not for you.")
    roles: list[bool | str] = [False, "view", "act", True]
    return roles[said - 1]


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, list[str]]]:
    """An application, and jobs of it in all states that stay as they are without a worker."""
    app = FastAPI()
    durable = Postlude(app, f"sqlite:///{tmp_path_factory.mktemp('schema') / 'jobs.db'}")
    app.include_router(durable.router(authorize=authorize))
    blocking = durable.blocking
    values = (None, {"a": [1, {"token": "t"}]}, "text", 2.5)
    with TestClient(app):
        ended = [blocking.enqueue(works, value) for value in values]
        ended += [blocking.enqueue(returns_what_cannot_be_stored), *(blocking.enqueue(fails) for _ in range(3))]
        found = [str(blocking.jobs.wait(job.id, timeout=30).id) for job in ended]
        waiting = [blocking.options(delay=3600).enqueue(works, n) for n in range(3)]
    blocking.jobs.cancel(waiting[0].id)
    yield app, [*found, *(str(job.id) for job in waiting)]
    blocking.close()


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_answers_are_those_of_the_schema(
    ids: tuple[FastAPI, list[str]], method: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LONGEST", 0.02)  # what waits would be told of for ever
    app, known = ids
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]

    @given(case=operation.as_strategy(), job_id=st.sampled_from(known), exists=st.integers(0, 4))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def answers(case: Any, job_id: str, exists: int) -> None:
        if exists:
            case.path_parameters["job_id"] = job_id
        case.call_and_validate(checks=CHECKS)

    answers()


def test_every_route_is_in_the_schema(ids: tuple[FastAPI, list[str]]) -> None:
    paths = ids[0].openapi()["paths"]
    assert {(method.upper(), path) for path in paths for method in paths[path]} == {*OPERATIONS}
    events_of = paths["/jobs/{job_id}/events"]["get"]["responses"]
    assert list(events_of["200"]["content"]) == ["text/event-stream"]
