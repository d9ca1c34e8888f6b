"""What every test has: one event loop library, and a way to forbid blocking calls on it."""

import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from postlude import scheduling, tasks
from tests.stores.places import await_calm, database_in, server


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged, or failed with, goes as UTF-8 to the process that reports: without lone surrogates."""
    report = yield
    report.sections = [(title, _in_utf8(text)) for title, text in report.sections]
    if (failed := str(report.longrepr or "")) != _in_utf8(failed):
        report.longrepr = _in_utf8(failed)
    return report


def _in_utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


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


@pytest.fixture(autouse=True)
def own_tasks(request: pytest.FixtureRequest) -> Iterator[None]:
    """A task, too, is declared for the whole process: a test sees those of its own file, and of what that imports."""
    hidden = {name: function for name, function in tasks.declared.items() if _is_of_another_test(function, request)}
    for name in hidden:
        del tasks.declared[name]
    before = set(tasks.declared)
    yield
    for name in set(tasks.declared) - before:
        if _went_with_the_test(tasks.declared[name]):
            del tasks.declared[name]
    tasks.declared.update(hidden)


def _went_with_the_test(function: Callable[..., Any]) -> bool:
    """Whether it stood in the test itself, or in a module that the test has made: a page's, for instance."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    own = getattr(function, "__globals__", None)
    return "<locals>" in getattr(function, "__qualname__", "") or module is None or own not in (None, vars(module))


def _is_of_another_test(function: Callable[..., Any], request: pytest.FixtureRequest) -> bool:
    module: str = getattr(function, "__module__", "")
    return module.rpartition(".")[2].startswith("test_") and module != request.module.__name__
