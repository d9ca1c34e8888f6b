"""Scenarios 37 and 38, and pauses: clients that reach another process than the one that runs their jobs."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from tests.scenarios.conftest import Serve, on_both_stores, postgres_in_the_long_form
from tests.scenarios.server import Server, gone, uvicorn
from tests.scenarios.waiting import wait_until


class Pair(NamedTuple):
    """Two servers of one application, on one file."""

    worker: Server
    other: Server


@pytest.fixture
def pair(serve: Serve) -> Pair:
    """The first runs jobs, of those in threads one at a time; the second only serves its clients."""
    worker = serve(uvicorn("controlled"), POSTLUDE_CONCURRENCY="loop=10,threads=1,processes=1")
    return Pair(worker.start(), serve(uvicorn("controlled"), POSTLUDE_WORKER="off").start())


def added(server: Server, kind: str, name: str) -> str:
    """The id of a new job."""
    answer = server.post(f"/add/{kind}/{name}")
    assert answer.status == 200
    job_id: str = json.loads(answer.body)
    return job_id


def shown(server: Server, job_id: str) -> dict[str, Any]:
    """What a client is shown of the job."""
    answer = server.get(f"/jobs/{job_id}")
    assert answer.status == 200, answer.body
    job: dict[str, Any] = json.loads(answer.body)
    return job


def await_state(server: Server, job_id: str, state: str) -> None:
    wait_until(lambda: shown(server, job_id)["state"] == state, f"{job_id} is {state}")


# 37: followed


@postgres_in_the_long_form
def test_37_a_client_follows_a_job_that_another_process_runs(pair: Pair) -> None:
    """By the id that it was given: it is there from the answer on, with its progress, and then with its result."""
    job_id = added(pair.worker, "report", "annual")
    assert shown(pair.other, job_id)["state"] in {"staged", "queued", "running"}
    wait_until(lambda: shown(pair.other, job_id)["progress"] == [1, 3, "writing annual"], "its progress is there")
    await_state(pair.other, job_id, "running")
    pair.worker.open_gate("annual")
    await_state(pair.other, job_id, "succeeded")
    assert shown(pair.other, job_id) == {
        "state": "succeeded",
        "progress": [3, 3, "written"],
        "result": [3, "annual.pdf"],
    }


@on_both_stores
def test_37_no_client_is_ever_told_that_its_job_is_not_there(pair: Pair) -> None:
    """Many at once, each of which asks the other process as soon as it has its answer, until its job has ended."""

    def follow(number: int) -> list[Any]:
        name = f"report-{number}"
        pair.worker.open_gate(name)
        job_id = added(pair.worker, "report", name)
        await_state(pair.other, job_id, "succeeded")  # each look asserts that it is there
        result: list[Any] = shown(pair.other, job_id)["result"]
        return result

    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(follow, range(40))) == [[3, f"report-{number}.pdf"] for number in range(40)]


# 38: cancelled


def cancelled(server: Server, job_id: str) -> str:
    """The state of the job when the request to cancel it was answered."""
    answer = server.post(f"/jobs/{job_id}/cancel")
    assert answer.status == 200
    state: str = json.loads(answer.body)
    return state


@on_both_stores
def test_38_a_waiting_job_never_runs(pair: Pair) -> None:
    """It is the next one of a process that then runs what was added after it."""
    running = added(pair.worker, "in_thread", "first")
    pair.worker.await_effect("started", "first")
    waiting, behind = (added(pair.worker, "in_thread", name) for name in ("second", "third"))
    await_state(pair.other, waiting, "queued")
    assert cancelled(pair.other, waiting) == "cancelled"
    for name in ("first", "second", "third"):
        pair.worker.open_gate(name)
    for job_id in (running, behind):
        await_state(pair.other, job_id, "succeeded")
    assert shown(pair.other, waiting)["state"] == "cancelled"
    assert pair.worker.effects("started") == ["first", "third"]


@postgres_in_the_long_form
def test_38_a_running_coroutine_gets_cancelled_error(pair: Pair) -> None:
    job_id = added(pair.worker, "on_loop", "it")
    pair.worker.await_effect("started", "it")
    cancelled(pair.other, job_id)
    await_state(pair.other, job_id, "cancelled")
    assert pair.worker.effects("CancelledError") == ["it"]
    assert pair.worker.effects("ended") == []


def test_38_a_thread_that_looks_ends_itself(pair: Pair) -> None:
    job_id = added(pair.worker, "looks", "it")
    pair.worker.await_effect("started", "it")
    cancelled(pair.other, job_id)
    await_state(pair.other, job_id, "cancelled")
    assert pair.worker.effects("noticed") == ["it"]


def test_38_a_thread_that_goes_on_has_succeeded(pair: Pair) -> None:
    """It was told, and nothing could end it: what it did has happened."""
    job_id = added(pair.worker, "goes_on", "it")
    pair.worker.await_effect("started", "it")
    assert cancelled(pair.other, job_id) in {"running", "staged"}
    pair.worker.await_effect("ended", "it")
    await_state(pair.other, job_id, "succeeded")


def test_38_a_process_is_killed(pair: Pair) -> None:
    job_id = added(pair.worker, "in_process", "it")
    pair.worker.await_effect("started", "it")
    (child,) = pair.worker.processes()
    assert int(child) != pair.worker.pid
    cancelled(pair.other, job_id)
    await_state(pair.other, job_id, "cancelled")
    wait_until(lambda: gone(int(child)), "its process has ended")
    pair.worker.open_gate("it")
    after = added(pair.worker, "in_process", "it")
    await_state(pair.other, after, "succeeded")
    assert pair.worker.effects("ended") == ["it"], "of the second; the first was killed before"
    assert len(pair.worker.processes()) == 2


# Paused


@on_both_stores
def test_what_is_paused_in_one_process_waits_in_all_until_another_resumes_it(serve: Serve) -> None:
    """Calls that come with requests, to either process: both could run them, and neither does."""
    one, other = (serve(uvicorn("controlled")).start() for _ in range(2))
    assert one.post("/pause").status == 200
    held = [added(one, "send", f"held-{number}") for number in range(3)]
    # The other one learns of it within a second: what it starts until then has run when it gets something to leave.
    passed: list[str] = []
    wait_until(lambda: stays(other, passed), "the other one has learnt of it")
    held.append(passed.pop())
    held += [added(server, "send", f"held-{number}") for number, server in enumerate((one, other), start=3)]
    for number, server in enumerate((one, other)):
        await_state(server, added(server, "free", f"free-{number}"), "succeeded")
    assert {shown(one, job_id)["state"] for job_id in held} <= {"staged", "queued"}
    assert other.post("/resume").status == 200
    for job_id in held:
        await_state(one, job_id, "succeeded")
    assert all(times == 1 for times in Counter(one.effects("ended")).values()), "and each has run once"


def stays(server: Server, added_before: list[str]) -> bool:
    """Whether a call of the paused task waits, although one that was added after it has run."""
    number = len(added_before)
    added_before.append(added(server, "send", f"probe-{number}"))
    await_state(server, added(server, "free", f"behind-{number}"), "succeeded")
    return shown(server, added_before[-1])["state"] in {"staged", "queued"}
