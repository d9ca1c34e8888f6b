"""What every test has: one event loop library, and a way to forbid blocking calls on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from postlude import scheduling
from tests.stores.places import await_calm, database_in, server


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server that all tests of a run share."""
    with server() as dsn:
        yield dsn


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.soak)])
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty place for a store; in the long form one in PostgreSQL, too."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
    else:
        dsn = request.getfixturevalue("postgres")
        await_calm(dsn)
        with database_in(dsn) as url:
            yield url


@pytest.fixture
def no_blocking() -> Iterator[BlockBuster]:
    """Fail the test when Postlude blocks the event loop.

    Asked for by name, because a task that blocks the loop is also what some tests are about.
    """
    with blockbuster_ctx("postlude") as blockbuster:
        yield blockbuster


@pytest.fixture(autouse=True)
def own_schedules() -> Iterator[None]:
    """A schedule is declared for the whole process: what one test declares must not come due in another."""
    scheduling.declared.clear()
    yield
    scheduling.declared.clear()
