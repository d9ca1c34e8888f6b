"""Scenario 42: from what a task says of itself, in its log and in its span, to the request that added it."""

import http.client
import json
import subprocess
import sys
from typing import Any

from tests.scenarios.conftest import Serve, postgres_in_the_long_form
from tests.scenarios.server import Server, uvicorn
from tests.scenarios.waiting import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def said(server: Server, kind: str, name: str) -> list[dict[str, Any]]:
    """What it printed as JSON: the logs or spans with this text or name."""
    found = [json.loads(line) for line in server.output if line.startswith("{")]
    return [line for line in found if str(line.get(kind, "")).startswith(name)]


def sign_in(server: Server) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    headers = {"X-Request-ID": "r-1", "traceparent": TRACEPARENT}
    connection.request("POST", "/sign-in/ada", headers=headers)
    job_id: str = json.loads(connection.getresponse().read())
    connection.close()
    return job_id


@postgres_in_the_long_form
def test_42_the_request_is_in_the_logs_and_the_span_of_its_task(serve: Serve) -> None:
    """Of the first attempt, and of that in another process after SIGKILL."""
    server = serve(uvicorn("traced")).start()
    job_id = sign_in(server)
    server.await_effect("started", "ada")
    wait_until(lambda: said(server, "span", "create"), "the span of the call is there")
    server.kill()
    server.start()
    server.open_gate("ada")
    server.await_effect("started", "ada", times=2)
    wait_until(lambda: said(server, "span", "process"), "the span of the second attempt is there")
    wait_until(lambda: said(server, "log", "tests.scenarios.apps.traced:sign_in failed"), "its failure is said")

    lines = said(server, "log", "signs in as ada")
    assert len(lines) == 2
    of_request = {"request_id": "r-1", "route": "POST /sign-in/{name}", "traceparent": TRACEPARENT}
    for line in [*lines, *said(server, "log", "tests.scenarios.apps.traced:sign_in failed")]:
        assert line["job_id"] == job_id
        assert {name: line[name] for name in of_request} == of_request
    [created] = said(server, "span", "create")
    [processed] = said(server, "span", "process")
    assert created["id"].startswith(TRACE)
    assert processed["links"] == [created["id"]]
    assert processed["messaging.message.id"] == job_id
    assert processed["postlude.request.id"] == "r-1"
    assert processed["postlude.request.route"] == "POST /sign-in/{name}"
    assert processed["postlude.request.traceparent"] == TRACEPARENT


def test_42_arguments_named_like_secrets_are_masked_everywhere(serve: Serve) -> None:
    """The task has them. Whoever looks at its job sees that there are some: on a page, in a terminal, by the API."""
    server = serve(uvicorn("traced")).start()
    server.open_gate("ada")
    job_id = sign_in(server)
    wait_until(lambda: said(server, "log", "tests.scenarios.apps.traced:sign_in failed"), "its failure is said")
    wait_until(lambda: json.loads(server.get(f"/jobs/{job_id}").body)["state"] == "failed", "it has failed")
    page = server.get(f"/postlude/jobs/{job_id}")
    shown = {
        "page": page.body,
        "terminal": _postlude(server, "jobs", "get", job_id),
        "api": server.get(f"/jobs/{job_id}").body,
        "metrics": server.get("/metrics/").body,
        "output": server.text,
    }
    assert page.status == 200
    assert [where for where, text in shown.items() if "hunter2" in text] == []
    for where in ("page", "terminal"):
        assert "api_key" in shown[where], where
        assert "PermissionError" in shown[where], where


def _postlude(server: Server, *words: str) -> str:
    return subprocess.check_output(
        [sys.executable, "-m", "postlude", *words], cwd=server.folder, env=server.env, text=True, timeout=60
    )
