"""What every test has: one event loop library, and a way to forbid blocking calls on it."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def no_blocking() -> Iterator[BlockBuster]:
    """Fail the test when Postlude blocks the event loop.

    Asked for by name, because a task that blocks the loop is also what some tests are about.
    """
    with blockbuster_ctx("postlude") as blockbuster:
        yield blockbuster
