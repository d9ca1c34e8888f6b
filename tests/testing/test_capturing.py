"""`capture`: what is added is seen, and neither stored nor run."""

from unittest.mock import ANY

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import JobNotFound, Postlude
from postlude.errors import CallError, NotTestable
from postlude.testing import capture, isolated
from tests.testing.application import Order, charge, flaky, ran, send, ship


@pytest.mark.parametrize("lifespan", [False, True])
def test_nothing_is_stored_and_nothing_runs(app: FastAPI, durable: Postlude, *, lifespan: bool) -> None:
    client = TestClient(app)
    with isolated(app):
        with capture(app) as calls:
            if lifespan:
                with client:
                    job = client.post("/send/ada").json()
            else:
                job = client.post("/send/ada").json()
            assert [(call.args, call.kwargs, call.options.delay) for call in calls] == [
                (("ada",), {"copies": 2}, 0),
                (("later ada",), {}, 3600),
            ]
        with pytest.raises(JobNotFound):
            durable.blocking.jobs.get(job)
        assert ran == []


def test_after_the_block_everything_is_as_before(app: FastAPI, durable: Postlude, client: TestClient) -> None:
    with isolated(app):
        with capture(durable) as calls:
            pass
        client.post("/send/ada")
        assert ran == [("send", "ada")]
        assert len(calls) == 0
        with capture(durable) as outer, capture(durable) as inner:
            client.post("/ship/1")
        assert (len(outer), len(inner)) == (0, 1)


def test_a_call_is_found_however_its_arguments_were_given(app: FastAPI, client: TestClient) -> None:
    with capture(app) as calls:
        client.post("/send/ada")
        client.post("/ship/7")
        client.post("/charge/7")
    first = calls.assert_enqueued(send, "ada", copies=2)
    assert first is calls[0]
    assert calls.assert_enqueued(send, to="ada", subject="hello", copies=2) is first
    assert calls.assert_enqueued(send, ANY, copies=ANY) is first
    assert calls.assert_enqueued(ship, Order(number=7, items=["book"])).task == "tests.testing.application:ship"
    calls.assert_enqueued(charge, 7)  # the dependency is Postlude's to give
    assert [len(calls.of(function)) for function in (send, ship, charge, flaky)] == [2, 1, 1, 0]
    assert calls[1:2] == [calls.assert_enqueued(send, "later ada")]


def test_enqueue_is_captured_too(app: FastAPI, durable: Postlude, client: TestClient) -> None:
    with capture(app) as calls:
        client.post("/enqueue/ada")
        durable.blocking.enqueue_many(send, [("b",), {"to": "c"}])
    assert calls.assert_enqueued(send, "ada").options.retries == 3
    assert [call.kwargs or call.args for call in calls.of(send)] == [("ada",), ("b",), {"to": "c"}]


def test_what_cannot_be_stored_is_captured_and_does_not_run(app: FastAPI, client: TestClient) -> None:
    with capture(app) as calls:
        client.post("/lambda")
    assert [call.ephemeral for call in calls] == [True]
    assert calls.of(calls[0].function) == [calls[0]]
    assert calls.of(lambda: None) == []
    assert repr(calls[0]).endswith(":post_lambda.<locals>.<lambda>() [ephemeral]")
    assert ran == []


def test_the_message_shows_what_was_added_instead(app: FastAPI, client: TestClient) -> None:
    with capture(app) as calls:
        client.post("/send/ada")
    with pytest.raises(AssertionError) as raised:
        calls.assert_enqueued(send, "eve")
    assert str(raised.value) == (
        "tests.testing.application:send('eve') was not added.\n"
        "What was added:\n"
        "  tests.testing.application:send('ada', copies=2)\n"
        "  tests.testing.application:send('later ada') [delay=3600.0]"
    )


def test_the_message_says_that_nothing_was_added_and_what_was_discarded(app: FastAPI, client: TestClient) -> None:
    with capture(app) as calls:
        with pytest.raises(AssertionError) as raised:
            calls.assert_enqueued(send, "ada")
        assert str(raised.value) == "tests.testing.application:send('ada') was not added. Nothing was."
        client.post("/refused")
    calls.assert_enqueued(send, "the auditor")
    with pytest.raises(AssertionError) as raised:
        calls.assert_enqueued(send, "nobody")
    assert str(raised.value) == (
        "tests.testing.application:send('nobody') was not added.\n"
        "What was added:\n"
        "  tests.testing.application:send('the auditor') [if_raised='only']\n"
        "What was discarded:\n"
        "  tests.testing.application:send('nobody'), because of HTTPException(status_code=409, detail='sold out')"
    )


def test_a_call_that_could_not_be_is_a_mistake_of_the_test(app: FastAPI) -> None:
    with capture(app) as calls, pytest.raises(CallError, match=r"missing a required argument: 'to'.*mock\.ANY"):
        calls.assert_enqueued(send)  # type: ignore[call-arg]


def test_an_application_without_postlude_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotTestable, match="was given to Postlude"), capture(FastAPI()):
        pass
    monkeypatch.setenv("POSTLUDE_DISABLED", "1")
    with pytest.raises(NotTestable, match="POSTLUDE_DISABLED"), capture(Postlude(FastAPI())):
        pass
    monkeypatch.delenv("POSTLUDE_DISABLED")
    with pytest.raises(NotTestable, match="POSTLUDE_MODE"), capture(Postlude(FastAPI(), mode="observe")):
        pass
