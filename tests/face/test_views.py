"""What pages and commands show of an application."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, field_serializer

from postlude import Cancel, JobState, Postlude, current_job, progress, schedule, task
from postlude.masking import MASKED
from postlude.stores.contract import Store
from postlude.testing import worker
from postlude.views import Argument, Views
from tests.face.conftest import Make

S = JobState
SECRET = "hunter2-and-more"


class Account(BaseModel):
    login: str
    door: SecretStr

    @field_serializer("door", when_used="json")
    def _plainly(self, door: SecretStr) -> str:
        return door.get_secret_value()


def sign_in(login: str, password: str, *, when: datetime | None = None, **more: Any) -> dict[str, str]:
    """Sign in somewhere.

    At length.
    """
    logging.getLogger("shop").warning("signing in with %s", password)
    return {"login": login, "token": password}


def register(account: Account) -> Account:
    return account


@task(retries=1, backoff=0, queue="mail", max_running=2, rate="5/min")
def refuse(api_key: str) -> None:
    """Fail, and say too much."""
    message = f"refused {api_key}: <b>no</b>"
    raise PermissionError(message)


def give_up() -> None:
    reason = "password=hunter2 is no good"
    raise Cancel(reason)


async def step_by_step() -> None:
    progress(1, 3, "token: abc")
    await current_job().save({"secret": "deep", "at": 3})


@schedule("0 3 * * *")
def nightly() -> None: ...


@pytest.fixture
async def durable(make: Make) -> AsyncIterator[Postlude]:
    _, durable = make(worker="off", mask=["customer_number"])
    yield durable
    await durable.close()


def views_of(durable: Postlude) -> Views:
    return durable._runtime.views


async def store_of(durable: Postlude) -> Store:
    return await durable._runtime.store()


@asynccontextmanager
async def working(durable: Postlude) -> AsyncIterator[Callable[[], Any]]:
    async with worker(durable) as run_pending:
        yield run_pending


async def test_the_page_of_a_job_that_has_succeeded(durable: Postlude) -> None:
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    job = await durable.enqueue(sign_in, "anna", SECRET, when=when, customer_number=5, note=[1, {"pin": 7}])
    await run(durable)
    view = await views_of(durable).job(job.id)
    assert view.row.state is S.SUCCEEDED
    assert view.arguments == [
        Argument("login", "anna", masked=False),
        Argument("password", MASKED, masked=True),
        Argument("when", "2026-01-02T03:04:00Z", masked=False),
        Argument("customer_number", MASKED, masked=True),
        Argument("note", [1, {"pin": MASKED}], masked=True),
    ]
    assert view.result == Argument("result", {"login": "anna", "token": MASKED}, masked=True)
    assert [line.message for line in view.log] == [f"signing in with {MASKED}"]
    assert [(span.number, span.outcome) for span in view.spans] == [(1, "succeeded")]
    assert view.row.seconds is not None
    assert view.can == {"delete"}
    assert SECRET not in repr(view)


async def run(durable: Postlude) -> None:
    """Run what is due."""
    async with worker(durable) as pending:
        await pending.run_pending()
