"""What a job keeps of the request that added it."""

import json
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket

from postlude.fastapi import install
from tests.dropin.recording import TestClient, durable, job, request

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def _adds(tasks: BackgroundTasks) -> None:
    tasks.add_task(job)


def _origin(desk: Any) -> dict[str, str]:
    text = desk.chains[-1].origin
    value: dict[str, str] = json.loads(text)
    assert json.dumps(value, separators=(",", ":"), ensure_ascii=False) == text
    return value


def test_route() -> None:
    """The template, so that jobs of one endpoint can be told from others."""
    app, desk = durable()
    app.post("/send-notification/{email}")(_adds)
    request(app, "/send-notification/a@example.org", "POST")
    assert _origin(desk) == {"route": "POST /send-notification/{email}"}


def test_route_of_an_included_router() -> None:
    app, desk = durable()
    inner, outer = APIRouter(), APIRouter(prefix="/outer")
    inner.get("/{name}")(_adds)
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/api")
    request(app, "/api/outer/inner/x")
    assert _origin(desk) == {"route": "GET /api/outer/inner/{name}"}


def test_route_of_a_mounted_application() -> None:
    app, desk = durable()
    sub = FastAPI()
    install(sub, desk)
    sub.get("/{name}")(_adds)
    app.mount("/sub", sub)
    TestClient(app, root_path="/proxied").get("/proxied/sub/x")
    assert _origin(desk) == {"route": "GET /sub/{name}"}


def test_route_of_a_websocket() -> None:
    app, desk = durable()

    @app.websocket("/ws/{room}")
    async def endpoint(socket: WebSocket, tasks: BackgroundTasks) -> None:
        await socket.accept()
        tasks.add_task(job)

    with TestClient(app).websocket_connect("/ws/1"):
        pass
    assert _origin(desk) == {"route": "WS /ws/{room}"}


def test_headers() -> None:
    app, desk = durable()
    app.get("/")(_adds)
    request(app, headers={"x-request-id": 'a"1', "traceparent": TRACE, "x-other": "x"})
    origin = _origin(desk)
    assert origin == {"route": "GET /", "request_id": 'a"1', "traceparent": TRACE}


@pytest.mark.parametrize("length", [200, 100_000])
def test_long_header(length: int) -> None:
    """It is the client's text, and it is stored with every job."""
    app, desk = durable()
    app.get("/")(_adds)
    request(app, headers={"x-request-id": "a" * length})
    assert _origin(desk)["request_id"] == "a" * 200


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (TRACE, True),
        (f"cc{TRACE[2:]}-what-later-versions-add", True),
        (f"{TRACE}-more", False),
        (f"ff{TRACE[2:]}", False),
        (TRACE.upper(), False),
        (TRACE[:-1], False),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", False),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", False),
        (f"cc{TRACE[2:]}-{'x' * 200}", False),
        ("", False),
    ],
)
def test_only_a_valid_traceparent_is_kept(header: str, kept: bool) -> None:
    """What is none would be taken for one by whatever goes on with the trace."""
    app, desk = durable()
    app.get("/")(_adds)
    request(app, headers={"traceparent": header})
    assert _origin(desk).get("traceparent") == (header if kept else None)
