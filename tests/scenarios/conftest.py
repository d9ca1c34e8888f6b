"""Servers for the scenarios; whatever a test leaves running is ended with it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scenarios.server import Server

Serve = Callable[..., Server]


@pytest.fixture
def database(postgres: str) -> dict[str, str]:
    """What leads a server to an empty place in PostgreSQL."""
    return {"POSTLUDE_URL": postgres, "POSTLUDE_NAMESPACE": uuid.uuid4().hex}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Make a server for a command, in the test's folder; `env` in keywords."""
    with ExitStack() as stack:

        def make(command: tuple[str, ...], **env: str) -> Server:
            return stack.enter_context(Server(tmp_path, command, env))

        yield make
