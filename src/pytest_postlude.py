"""Fixtures for tests of applications that use Postlude; pytest loads them by itself.

Outside of the package, and without an import of it: pytest loads every plugin before it measures coverage, and in
projects that have nothing to do with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postlude import Postlude
    from postlude.testing import BlockingWorker, CapturedCalls


@pytest.fixture
def durable() -> Postlude:
    """What `Postlude(app)` returned; for a test suite to define."""
    pytest.fail(
        "Postlude's fixtures need to know your application. Define this one in conftest.py:\n\n"
        "    @pytest.fixture\n"
        "    def durable():\n"
        "        from main import durable  # what Postlude(app) returned\n"
        "        return durable\n",
        pytrace=False,
    )


@pytest.fixture
def durable_store(durable: Postlude) -> Iterator[None]:
    """The application keeps its jobs in a temporary file during the test; see `postlude.testing.isolated`."""
    from postlude.testing import isolated  # noqa: PLC0415

    with isolated(durable):
        yield


@pytest.fixture
def durable_calls(durable: Postlude) -> Iterator[CapturedCalls]:
    """What is added in the test, none of which is stored or run; see `postlude.testing.capture`."""
    from postlude.testing import capture  # noqa: PLC0415

    with capture(durable) as calls:
        yield calls


@pytest.fixture
def durable_worker(durable: Postlude) -> Iterator[BlockingWorker]:
    """Runs jobs when it is told to, on a store of its own; see `postlude.testing.worker`."""
    from postlude.testing import worker  # noqa: PLC0415

    with worker(durable) as working:
        yield working
