"""Servers for the scenarios; whatever a test leaves running is ended with it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scenarios.server import Server
from tests.stores.places import await_calm

Serve = Callable[..., Server]


on_both_stores = pytest.mark.parametrize("store", ["sqlite", "postgres"], indirect=True)
"""For a scenario in which the store matters: once with a file in the server's folder, and once with PostgreSQL."""
postgres_in_the_long_form = pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgres", marks=pytest.mark.soak)], indirect=True
)
"""The same where another scenario has shown most of it already, for `make soak`."""


@pytest.fixture
def store(request: pytest.FixtureRequest) -> dict[str, str]:
    """What leads a server to the store of the test."""
    on_postgres = getattr(request, "param", "sqlite") == "postgres"
    return request.getfixturevalue("database") if on_postgres else {}


@pytest.fixture
def database(postgres: str) -> dict[str, str]:
    """What leads a server to an empty place in PostgreSQL."""
    # In the first seconds after its start nobody is taken for dead by a free lock.
    await_calm(postgres)
    return {"POSTLUDE_URL": postgres, "POSTLUDE_NAMESPACE": uuid.uuid4().hex}


@pytest.fixture
def serve(tmp_path: Path, store: dict[str, str]) -> Iterator[Serve]:
    """Make a server for a command, in the test's folder and on its store; `env` in keywords."""
    with ExitStack() as stack:

        def make(command: tuple[str, ...], **env: str) -> Server:
            return stack.enter_context(Server(tmp_path, command, store | env))

        yield make
