"""`jobs: Jobs` in an endpoint or a dependency: `durable.jobs` of the application that answers."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, WebSocket

from postlude import Jobs, Postlude
from postlude.errors import InstallError
from tests.api.asgi import Answer
from tests.dropin.recording import TestClient


async def through_a_dependency(jobs: Jobs) -> int:
    return id(jobs)


def endpoints(app: FastAPI) -> None:
    @app.get("/jobs")
    async def endpoint(jobs: Jobs, other: Annotated[int, Depends(through_a_dependency)]) -> list[int]:
        return [id(jobs), other]


async def test_in_an_endpoint_and_in_a_dependency(place: str) -> None:
    app = FastAPI()
    durable = Postlude(app, place)
    endpoints(app)
    assert (await Answer(app, "/jobs").end()).json == [id(durable.jobs)] * 2
    assert app.openapi()["paths"]["/jobs"]["get"].get("parameters") is None


async def test_each_application_has_its_own(place: str) -> None:
    outer, inner, other = FastAPI(), FastAPI(), FastAPI()
    durable, another = Postlude(outer, place), Postlude(other, f"{place}2")
    durable.install(inner)
    outer.mount("/inner", inner)
    outer.mount("/other", other)
    for app in (outer, inner, other):
        endpoints(app)
    found = [(await Answer(outer, path).end()).json[0] for path in ("/jobs", "/inner/jobs", "/other/jobs")]
    assert found == [id(durable.jobs), id(durable.jobs), id(another.jobs)]


async def test_where_it_is_not_installed_that_is_said(place: str) -> None:
    app, inner = FastAPI(), FastAPI()
    Postlude(app, place)
    app.mount("/inner", inner)
    endpoints(inner)
    with pytest.raises(InstallError, match=r"/inner/jobs\. Install it there too: durable\.install\(sub\)\."):
        await Answer(app, "/inner/jobs").end()


async def test_where_postlude_is_disabled(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    app = FastAPI()
    durable = Postlude(app, place)
    endpoints(app)
    app.include_router(durable.router())
    assert (await Answer(app, "/jobs").end()).json == [id(durable.jobs)] * 2


def test_in_a_websocket(place: str) -> None:
    app = FastAPI()
    durable = Postlude(app, place)

    @app.websocket("/socket")
    async def endpoint(socket: WebSocket, jobs: Jobs) -> None:
        await socket.accept()
        await socket.send_json(id(jobs))
        await socket.close()

    with TestClient(app).websocket_connect("/socket") as socket:
        assert socket.receive_json() == id(durable.jobs)
