"""`/metrics` as a user mounts it."""

import sys

import pytest

from postlude.coverage import coverage
from postlude.errors import InstallError
from tests.face.conftest import Make


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
