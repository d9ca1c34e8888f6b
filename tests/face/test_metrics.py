"""`/metrics` as a user mounts it."""

import sys

import pytest

from postlude.coverage import coverage
from postlude.errors import InstallError
from tests.face.conftest import Make, Serve


def test_the_mount_is_no_gap_in_what_is_covered(make: Make) -> None:
    app, durable = make()
    app.mount("/metrics", durable.metrics())
    assert coverage(app, lambda _: False).gaps == []


def test_without_the_library_the_cure_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    _, durable = make()
    monkeypatch.delitem(sys.modules, "postlude.telemetry.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(InstallError, match=r"pip install 'postlude\[telemetry\]'"):
        durable.metrics()


async def fine() -> None: ...


def test_what_is_there_now_is_scraped(make: Make, serve: Serve) -> None:
    app, durable = make()
    app.mount("/metrics", durable.metrics())
    durable.blocking.options(delay=100).enqueue(fine)
    with serve(app) as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert "postlude_store_up 1.0" in lines
    assert 'postlude_jobs{state="queued"} 1.0' in lines
    assert f'postlude_waiting{{queue="default",task="{__name__}:fine",why="later"}} 1.0' in lines
