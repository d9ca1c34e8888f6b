"""What a process tells of its jobs, in its log, its spans and its events, is masked as a page masks it."""

import logging
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from postlude import BackgroundTasks, Cancel
from postlude.calls import NO_OPTIONS, Call
from postlude.events import AttemptFailed, CallsDiscarded, EphemeralFailed, Event
from postlude.job import Failure
from postlude.masking import MASKED
from postlude.registry import Registry
from tests.face.conftest import Make, Serve
from tests.face.test_spans import Traced, attributes

SECRET = "hunter2-and-more"


async def refuse(customer_number: str, options: dict[str, Any]) -> None:
    message = f"{customer_number} refused with {options['pwd']}, cards=['{customer_number}']"
    raise PermissionError(message)


async def give_up(password: str) -> None:
    message = f"{password} is no good"
    raise Cancel(message)


def refuse_here(door: SecretStr, password: str, lock: object) -> None:
    message = f"{door.get_secret_value()} and {password} refused"
    raise PermissionError(message)


class Told(Traced):
    """An application, and everything that it tells."""

    def __init__(self, make: Make, log: pytest.LogCaptureFixture) -> None:
        super().__init__(make, mask=["customer_number"])
        self._log = log
        self.events: list[Event] = []
        self.durable.on_event(self.events.append)

        @self.app.post("/here")
        async def here(background: BackgroundTasks) -> None:
            background.add_task(refuse_here, SecretStr("front-door-7"), SECRET, object())

        @self.app.post("/raises")
        async def raises(background: BackgroundTasks) -> None:
            background.add_task(give_up, SECRET)
            message = f"no stock, password={SECRET}"
            raise ValueError(message)

    @property
    def text(self) -> str:
        """All of it, but for exceptions themselves."""
        spans = [(attributes(each), each.status.description, each.events) for each in self.spans("process")]
        said = [(told, [dict(event.attributes or {}) for event in events], status) for told, status, events in spans]
        events = [{**each._asdict(), "error": None} for each in self.events]
        records = [vars(record) for record in self._log.records if record.name == "postlude"]
        return repr((said, events, records, self._log.text))


@pytest.fixture
def told(make: Make, caplog: pytest.LogCaptureFixture) -> Told:
    caplog.set_level(logging.INFO, "postlude")
    return Told(make, caplog)


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_of_a_failure(told: Told, serve: Serve) -> None:
    with serve(told.app):
        job = told.durable.blocking.enqueue(refuse, SECRET, {"pwd": "another-one"})
        told.wait([str(job.id)])
    [failed] = [event for event in told.events if isinstance(event, AttemptFailed)]
    message = f"{MASKED} refused with {MASKED}, cards={MASKED}"
    assert failed.failure.message == message
    assert f"PermissionError: {message}\n" in failed.failure.traceback
    assert SECRET in str(failed.error), "what was raised stays as it is"
    assert told.span("process").status.description == f"PermissionError: {message}"
    assert message in told.text
    assert SECRET not in told.text
    assert "another-one" not in told.text


@pytest.mark.parametrize("serve", ["embedded"], indirect=True)
def test_of_an_end_that_was_asked_for(told: Told, serve: Serve) -> None:
    with serve(told.app):
        told.wait([str(told.durable.blocking.enqueue(give_up, SECRET).id)])
    assert attributes(told.span("process"))["postlude.reason"] == f"{MASKED} is no good"
    assert SECRET not in told.text


def test_of_what_was_never_stored(told: Told, serve: Serve) -> None:
    with serve(told.app) as client:
        client.post("/here")
    [failed] = [event for event in told.events if isinstance(event, EphemeralFailed)]
    assert failed.failure.message == f"{MASKED} and {MASKED} refused"
    assert SECRET not in told.text
    assert "front-door-7" not in told.text


def test_of_what_was_discarded(told: Told, serve: Serve) -> None:
    with serve(told.app) as client, pytest.raises(ValueError, match="no stock"):
        client.post("/raises")
    [discarded] = [event for event in told.events if isinstance(event, CallsDiscarded)]
    assert discarded.reason == f"the request raised ValueError('no stock, password={MASKED})"
    assert SECRET not in told.text


class Service:
    def login(self, user: str, password: str) -> None:
        message = f"{user}: {password} refused"
        raise PermissionError(message)


class Unfriendly(dict[str, str]):
    def items(self) -> Any:
        message = "nobody looks into this"
        raise LookupError(message)


def refuse_rows(rows: object, password: str, lock: object) -> None:
    message = f"refused, password={password}"
    raise PermissionError(message)


def failed_here(told: Told, serve: Serve, function: Any, *args: object, chained: bool = False) -> Failure:
    """How a call that cannot be stored has failed, as it is told."""

    @told.app.post("/given")
    async def given(background: BackgroundTasks) -> None:
        background.add_task(function, *args)
        if chained:
            background.add_task(give_up, "never-asked")

    with serve(told.app) as client:
        client.post("/given")
    [failed] = [event for event in told.events if isinstance(event, AttemptFailed | EphemeralFailed)]
    return failed.failure


@pytest.mark.parametrize("chained", [False, True])
def test_of_a_method(told: Told, serve: Serve, chained: bool) -> None:
    failure = failed_here(told, serve, Service().login, "bob", SECRET, chained=chained)
    assert failure.message == f"bob: {MASKED} refused"
    assert SECRET not in told.text


def test_of_a_function_that_has_no_name(told: Told, serve: Serve) -> None:
    def closure(branch: str, count: int, password: str) -> None:
        message = f"no {branch} of {count} with {password}"
        raise LookupError(message)

    failure = failed_here(told, serve, closure, "tests", 1000, SECRET)
    assert failure.message == f"no tests of 1000 with {MASKED}"
    assert f'File "{__file__}", line' in failure.traceback
    assert SECRET not in told.text


def test_of_arguments_that_cannot_be_looked_at(told: Told, serve: Serve) -> None:
    failure = failed_here(told, serve, refuse_rows, Unfriendly(a="b"), SECRET, object())
    assert failure.message == "[what was said here could not be masked]"
    assert SECRET not in told.text


def test_no_more_is_looked_at_than_could_be_stored() -> None:
    definition = Registry(None).of(refuse_rows)
    rows = [1.5] * 300_000
    call = Call(definition, uuid4(), ([*rows, Unfriendly(a="b")], SECRET, object()), {}, None, NO_OPTIONS, None)
    assert call.readable is None
    call = Call(definition, uuid4(), (rows[:2], SecretStr(SECRET), object()), {"a": 1}, None, NO_OPTIONS, None)
    assert call.readable == f'{{"args": [[1.5, 1.5], "{SECRET}", null], "kwargs": {{"a": 1}}}}'
