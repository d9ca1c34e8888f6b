"""What open pages are told, and that they hold nobody up."""

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.dashboard.conftest import Visit
from tests.scenarios.server import Server

SEEN = """
from fastapi import FastAPI
from postlude import Postlude

app = FastAPI()
durable = Postlude(app)
app.mount("/postlude", durable.dashboard(authorize=lambda: "view"))
"""


def test_a_page_that_is_open_does_not_hold_up_the_end_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "seen.py").write_text(SEEN, "utf-8")
    with Server(tmp_path, ("uvicorn", "seen:app", "--port", "{port}")) as server:
        server.start()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", "/postlude/live")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"].startswith("no-store")
        assert answer.readline() == b"event: changed\n"
        assert server.terminate() < 8, "the grace that tasks have, and there are none"
        connection.close()


def test_a_page_that_is_open_keeps_no_session_of_the_application(visit: Visit) -> None:
    closed = threading.Event()

    def session() -> Iterator[str]:
        yield "view"
        closed.set()

    visited = visit(authorize=session)
    with visited.client, visited.client.stream("GET", "/postlude/live") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: changed"
        assert closed.is_set()
        visited.dashboard.site.hub._ending = lambda: True
        visited.dashboard.site.hub.end()
