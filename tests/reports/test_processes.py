"""The service as processes: killed in the middle of a report, its worker elsewhere, and a body that never ends."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.reports.conftest import LONG, many_parts
from tests.scenarios.look import Look
from tests.scenarios.server import ROOT, Server, uvicorn
from tests.scenarios.waiting import wait_until

PARTS = 300
"""Million rows: a report of some seconds."""
QUESTION = {"measures": [{"what": "sum", "of": "amount"}, {"what": "max", "of": "amount"}], "group_by": ["shop"]}
APP = "reports.main:app"


@pytest.fixture
def start(data: Path) -> Iterator[Any]:
    with ExitStack() as stack:

        def make(folder: Path, command: tuple[str, ...], **env: str) -> Server:
            folder.mkdir(exist_ok=True)
            paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}", "REPORTS_DATA": str(data)}
            return stack.enter_context(Server(folder, command, paths | env))

        yield make


def ask(server: Server, body: Mapping[str, Any]) -> str:
    connection = server.connect(seconds=LONG)
    connection.request("POST", "/reports", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == http.client.ACCEPTED, response.read()
    location = response.headers["location"]
    connection.close()
    return location


def status(server: Server, report: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.get(report).body)
    return found


def in_the_middle(report: dict[str, Any]) -> bool:
    """Recorded as running, too: what began in the last second is no interruption when its process dies."""
    return report["state"] == "running" and (report["percent"] or 0) > 5


def answered(server: Server, report: str) -> dict[str, Any]:
    wait_until(lambda: status(server, report)["state"] == "succeeded", "the answer is there", seconds=LONG)
    found: dict[str, Any] = json.loads(server.get(f"{report}/answer.json").body)
    return found


def test_sigkill_in_the_middle_of_a_report(start: Any, data: Path, tmp_path: Path) -> None:
    """It runs again when the service is there again, and the answer is that of one which nobody has killed."""
    with start(tmp_path / "here", uvicorn(APP)).start() as server:
        report = ask(server, {"data": many_parts(data, "slow", PARTS), "question": QUESTION})
        wait_until(lambda: in_the_middle(status(server, report)), "it is in the middle", seconds=LONG)
        server.kill()
        server.start()
        answer = answered(server, report)
        with Look.into(server) as look:
            # The service has a schedule too, which is due whenever its minute comes.
            assert [job.interruptions for job in look.jobs() if job.task == "make-report"] == [1]
    with duckdb.connect() as connection:
        one = connection.execute(f"SELECT shop, sum(amount) s, max(amount) FROM '{data}/one.parquet' GROUP BY ALL")
        rows = sorted(one.fetchall(), key=lambda row: (-row[1], row[0]))[:20]
    assert answer["rows"] == PARTS * 1_000_000
    expected = [([str(shop)], [PARTS * total, most]) for shop, total, most in rows]
    assert [(group["names"], group["values"]) for group in answer["groups"]] == expected


def test_api_and_worker_in_two_working_directories(start: Any, tmp_path: Path) -> None:
    """What is sent to one is read by the other, in the storage that both were told of, and removed there."""
    common = {"POSTLUDE_URL": f"sqlite:///{tmp_path / 'jobs.db'}", "REPORTS_STORAGE": f"file://{tmp_path / 'storage'}"}
    api = start(tmp_path / "api", uvicorn(APP), **common, POSTLUDE_WORKER="off")
    worker = start(tmp_path / "worker", ("postlude", "worker", APP), **common)
    api.start()
    report = send(api, QUESTION, b"shop,amount\nnorth,1\nsouth,5\n")
    assert [path.name for path in (tmp_path / "storage").iterdir()] == [report.rpartition("/")[2]]
    worker.launch()
    assert answered(api, report)["sentence"].startswith("south has the highest total amount: 5.")
    wait_until(lambda: not [*(tmp_path / "storage").iterdir()], "what was sent is removed", seconds=LONG)
    assert not [path for folder in ("api", "worker") for path in (tmp_path / folder).iterdir()]


def send(server: Server, question: Mapping[str, Any], content: bytes) -> str:
    parts = (("question", json.dumps(question).encode(), ""), ("file", content, '; filename="sales.csv"'))
    body = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"
        for name, value, more in parts
    )
    connection = server.connect(seconds=LONG)
    connection.request("POST", "/reports", body + b"--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"})
    response = connection.getresponse()
    assert response.status == http.client.ACCEPTED, response.read()
    location = response.headers["location"]
    connection.close()
    return location


def test_too_large_is_refused_while_it_arrives(start: Any, tmp_path: Path) -> None:
    """It does not say how large it is, and would go on for ever: it is refused after what may be sent."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'
        while True:
            sent += 1_000_000
            yield b"1\n" * 500_000

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with start(tmp_path / "here", uvicorn(APP), REPORTS_UPLOAD_MB="20", TMPDIR=str(temporary)).start() as server:
        connection = server.connect(seconds=LONG)
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/reports", endless(), {"Content-Type": "multipart/form-data; boundary=x"})
        assert sent < 40_000_000
        with suppress(ConnectionResetError):  # the answer may be lost where the other side goes on sending
            response = connection.getresponse()
            assert response.status == http.client.REQUEST_ENTITY_TOO_LARGE
            assert json.loads(response.read())["detail"] == "This is larger than the 21 MB that may be sent."
        connection.close()
        wait_until(lambda: not [path for path in temporary.rglob("*") if path.is_file()], "nothing is left")
        assert not (tmp_path / "here" / ".reports").exists()
        assert server.get("/reports").status == http.client.OK
