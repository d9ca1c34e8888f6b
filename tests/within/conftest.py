"""An application with its own database, and Postlude beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude
from tests.face.holding import ran
from tests.within.callers import new_database


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The application's own database."""
    return new_database(tmp_path)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def app() -> FastAPI:
    return FastAPI()


@pytest.fixture
def durable(app: FastAPI, url: str) -> Iterator[Postlude]:
    ran.clear()
    durable = Postlude(app, url)
    yield durable
    durable.blocking.close()


@pytest.fixture
def running(app: FastAPI, durable: Postlude) -> Iterator[Postlude]:
    """With a worker, on a loop of its own."""
    with TestClient(app):
        yield durable
