"""What is secret of a job by the words of its own task, and of its application, is told to no caller."""

import logging
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from pydantic import BaseModel, SecretStr, field_serializer

from postlude import progress, task
from tests.api.asgi import serving
from tests.api.conftest import Site, gate, owner_only

MASKED = "[masked]"
SECRETS = ("front-door-7", "number-12", "4111111111111111")


class Account(BaseModel):
    login: str
    door: SecretStr

    @field_serializer("door", when_used="always")
    def _plainly(self, door: SecretStr) -> str:
        return door.get_secret_value()


class Visit(NamedTuple):
    account: Account
    card: int


async def visit(account: Account, customer_number: str, visits: list[Visit]) -> Visit:
    door = account.door.get_secret_value()
    progress(1, 2, f"at {door}")
    logging.getLogger("app").warning("%s knocks at %s", customer_number, door)
    await gate("visit").wait()
    if account.login == "anna":
        message = f"{door} stays shut for {customer_number} and {visits[0].card}, tokens=['x']"
        raise PermissionError(message)
    return visits[0]


async def refuse(password: str) -> None:
    message = f"{password} refused"
    raise PermissionError(message)


@task(keep_arguments=False)
async def refuse_and_forget(password: str) -> None:
    await refuse(password)


@pytest.fixture
async def shy(place: str) -> AsyncIterator[Site]:
    site = Site(place, owner_only, shutdown_grace=0, mask=["customer_number"])
    async with serving(site.app):
        yield site


async def added(site: Site, login: str) -> str:
    account = Account(login=login, door=SecretStr(SECRETS[0]))
    job = await site.durable.enqueue(visit, account, SECRETS[1], [Visit(account, int(SECRETS[2]))])
    return f"/jobs/{job.id}"


async def test_texts_that_repeat_arguments(shy: Site) -> None:
    where = await added(shy, "anna")
    stream = await shy.ask(f"{where}/events", user="viewer").begin()
    told = [await stream.event("log"), await stream.event("progress", "state")]
    gate("visit").set()
    told.append(await stream.event("end"))
    await stream.end()
    status = await shy.ask(where, user="viewer").end()
    result = await shy.ask(f"{where}/result", user="viewer").end()
    message = f"{MASKED} stays shut for {MASKED} and {MASKED}, tokens={MASKED}"
    assert told[0].data["message"] == f"{MASKED} knocks at {MASKED}"
    assert told[-1].data["error"] == status.json["error"] == {"type": "PermissionError", "message": message}
    assert told[-1].data["progress"]["note"] == status.json["progress"]["note"] == f"at {MASKED}"
    assert result.json["detail"] == f"This job has no result: it is failed. PermissionError: {message}"
    assert not [known for known in SECRETS if known in stream.text + status.text + result.text]


async def test_arguments_that_another_call_has_given_it(shy: Site) -> None:
    later = shy.durable.options(key="k", on_conflict="debounce", delay=600)
    job = await later.enqueue(refuse, "first-secret")
    stream = await shy.ask(f"/jobs/{job.id}/events", user="viewer").begin()
    await stream.event("state")
    again = await shy.durable.options(key="k", on_conflict="debounce").enqueue(refuse, "second-secret")
    end = await stream.event("end")
    await stream.end()
    assert again.id == job.id
    assert end.data["error"]["message"] == f"{MASKED} refused"
    assert "second-secret" not in stream.text


async def test_arguments_that_are_erased_at_its_end(shy: Site) -> None:
    keyed = shy.durable.options(key="k", on_conflict="debounce")
    job = await keyed.options(delay=600).enqueue(refuse_and_forget, "only-secret")
    stream = await shy.ask(f"/jobs/{job.id}/events", user="viewer").begin()
    await stream.event("state")
    await keyed.enqueue(refuse_and_forget, "only-secret")
    end = await stream.event("end")
    await stream.end()
    assert end.data["error"]["message"] == f"{MASKED} refused"


async def test_results_by_their_annotation(shy: Site) -> None:
    where = await added(shy, "otto")
    stream = await shy.ask(f"{where}/events", user="viewer").begin()
    gate("visit").set()
    end = await stream.event("end")
    await stream.end()
    result = await shy.ask(f"{where}/result", user="viewer").end()
    assert end.data["result"] == result.json == [{"login": "otto", "door": MASKED}, MASKED]
    assert not [known for known in SECRETS if known in stream.text + result.text]


async def test_whoever_has_only_the_id(place: str) -> None:
    site = Site(place, None, shutdown_grace=0, mask=["customer_number"])
    async with serving(site.app):
        where = await added(site, "otto")
        stream = await site.ask(f"{where}/events").begin()
        gate("visit").set()
        end = await stream.event("end")
        status = await site.ask(where).end()
        await stream.end()
    assert end.data["progress"]["note"] == status.json["progress"]["note"] == f"at {MASKED}"
    assert not [known for known in SECRETS if known in stream.text + status.text]
