"""The stores on which the conformance suite runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.places import new_namespace, server


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server that all tests of a run share."""
    with server() as dsn:
        yield dsn


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place for a store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    return new_namespace(request.getfixturevalue("postgres"))
