"""An application as a user has it: made at import, with the default store, and no word of tests in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude
from tests.testing import application


@pytest.fixture(autouse=True)
def _nothing_has_happened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in tuple(os.environ):
        if name.startswith("POSTLUDE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    application.ran.clear()
    application.fail_times = 0
    application.let_go.clear()
    yield
    application.durable.blocking.close()


@pytest.fixture
def app() -> FastAPI:
    return application.app


@pytest.fixture
def durable() -> Postlude:
    return application.durable


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app)


def open_files() -> list[str]:
    """What this process has open, apart from sockets and pipes of event loops."""
    links = Path("/proc/self/fd").iterdir()
    return sorted(name for link in links if link.exists() and (name := str(link.readlink())).startswith("/"))
