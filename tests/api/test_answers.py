"""What is answered: when it is accepted, while it goes on, and at its end."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from postlude import BackgroundTasks, JobState, Postlude, accepted, progress
from postlude.errors import InstallError, StoreUnavailable
from tests.api.asgi import Answer, serving
from tests.api.conftest import Site, gate, report
from tests.api.test_events import far


async def allowed() -> bool:
    return True


async def test_accepted_says_where_and_when_to_ask(site: Site) -> None:
    answer = await site.ask("/reports/works", method="POST").end()
    told = answer.json
    assert (answer.status, answer.headers["retry-after"]) == (202, "1")
    assert (answer.headers["cache-control"], answer.headers["content-length"]) == ("no-store", str(len(answer.text)))
    assert answer.headers["location"] == told["status"] == f"/jobs/{told['id']}"
    assert told["events"] == f"/jobs/{told['id']}/events"
    asked = await site.ask(told["status"]).end()
    assert (asked.json["id"], asked.json["task"]) == (told["id"], "tests.api.conftest:report")
    assert (asked.headers["retry-after"], asked.headers["cache-control"]) == ("1", "no-store")


@pytest.mark.parametrize("mounted", [False, True])
async def test_accepted_finds_the_routes_wherever_they_are(place: str, mounted: bool) -> None:
    """Under a prefix, in an application that is mounted in another, and behind a proxy that takes a prefix away."""
    outer = FastAPI()
    app = FastAPI() if mounted else outer
    durable = Postlude(app, place, worker="off")
    if mounted:
        outer.mount("/shop", app)
    inner = APIRouter()

    @inner.post("/go")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        return accepted(tasks.add_task(report, "works"))

    inner.include_router(durable.router(authorize=allowed), prefix="/deep")
    app.include_router(inner, prefix="/v1")
    path = "/shop/v1/go" if mounted else "/v1/go"
    answer = await Answer(outer, path, method="POST", root="/proxy").end()
    where = answer.headers["location"]
    assert where == f"/proxy{'/shop' if mounted else ''}/v1/deep/jobs/{answer.json['id']}"
    assert (await Answer(outer, where.removeprefix("/proxy"), root="/proxy").end()).status == 200
    await durable.close()


@pytest.mark.parametrize("inside", [False, True], ids=["the routes outside", "the routes inside, by name"])
async def test_accepted_in_an_application_that_is_mounted(place: str, inside: bool) -> None:
    """Outside of it only the outermost router knows the routes; inside, where it has a name, only itself does."""
    outer, app = FastAPI(), FastAPI()
    durable = Postlude(outer, place, worker="off")
    durable.install(app)
    outer.mount("/shop", app, name="shop")

    @app.post("/go")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        return accepted(tasks.add_task(report, "works"))

    (app if inside else outer).include_router(durable.router(authorize=allowed))
    answer = await Answer(outer, "/shop/go", method="POST").end()
    assert answer.headers["location"] == f"{'/shop' if inside else ''}/jobs/{answer.json['id']}"
    await durable.close()


async def fails_by_key(what: str) -> None:
    raise ConnectionError(what)


async def test_a_job_whose_key_another_one_has_by_now_is_not_retried(site: Site) -> None:
    job = await site.durable.options(key="k").enqueue(fails_by_key, "once")
    await job.wait(timeout=30)
    await site.durable.options(key="k", delay=60).enqueue(fails_by_key, "again")
    answer = await site.ask(f"/jobs/{job.id}/retry", method="POST", user="operator").end()
    assert (answer.status, answer.json) == (409, {"detail": "Another job has taken the place of this one."})


async def says_too_much(name: str) -> None:
    progress(1, None, "password=geheim")
    try:
        await gate(name).wait()
    finally:
        await gate("last").wait()


async def test_what_is_said_of_a_job_that_waits_and_of_one_that_is_to_end(site: Site) -> None:
    @site.app.post("/both")
    async def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(says_too_much, "both").id), str(tasks.add_task(report, "works").id)]

    first, second = (await site.ask("/both", method="POST", user="ann").end()).json
    told = await site.ask(f"/jobs/{second}", user="operator").end()
    assert (told.json["waiting"], told.json["cancel_requested"]) == (True, False)
    stream = await site.ask(f"/jobs/{first}/events", user="operator").begin()
    while (said := await far(stream)) == (0, ""):
        pass
    assert said == (1, "password=[masked]")
    told = await site.ask(f"/jobs/{first}", user="operator").end()
    assert told.json["progress"]["note"] == "password=[masked]"
    assert told.json["waiting"] is False
    told = await site.ask(f"/jobs/{first}/cancel", method="POST", user="operator").end()
    assert (told.status, told.json["cancel_requested"]) == (202, True)
    gate("last").set()
    await stream.end()
    assert "geheim" not in stream.text
    assert (await site.ask(f"/jobs/{first}", user="operator").end()).json["state"] == "cancelled"


async def test_accepted_without_such_routes_is_said_and_nothing_is_added(place: str) -> None:
    app = FastAPI()
    durable = Postlude(app, place, worker="off")

    @app.post("/go")
    async def endpoint(tasks: BackgroundTasks) -> Response:
        return accepted(tasks.add_task(report, "works"))

    async with serving(app):
        with pytest.raises(InstallError, match=r"app\.include_router\(durable\.router"):
            await Answer(app, "/go", method="POST").end()
        assert await durable.jobs.list() == []


async def test_from_the_start_to_the_result(site: Site) -> None:
    where = await site.add("works")
    early = await site.ask(f"{where}/result").end()
    assert (early.status, early.headers["retry-after"], early.headers["location"]) == (202, "1", where)
    gate("works").set()
    await site.durable.jobs.wait(where.rpartition("/")[2], timeout=30)
    told = (await site.ask(where).end()).json
    assert (told["state"], told["attempts"], told["error"]) == ("succeeded", 1, None)
    assert told["progress"] == {"done": 1.0, "total": 2.0, "note": "half"}
    result = await site.ask(f"{where}/result").end()
    assert (result.status, result.json) == (200, {"name": "works", "api_key": "[masked]"})
    assert result.headers["cache-control"] == "no-store"
    assert "retry-after" not in result.headers


async def test_of_a_failure_the_caller_learns_what_and_not_where(site: Site) -> None:
    gate("fails").set()
    job = await site.added("fails")
    await job.wait(timeout=30)
    told = (await site.ask(f"/jobs/{job.id}").end()).json
    assert told["error"] == {"type": "ConnectionError", "message": "no connection to smtp://ann:[masked]@mail"}
    result = await site.ask(f"/jobs/{job.id}/result").end()
    assert result.status == 409
    assert result.json["detail"].startswith("This job has no result: it is failed. ConnectionError: no connection")
    assert "Traceback" not in result.text + str(told)
    assert "geheim" not in result.text + str(told)


async def returns_nothing() -> None:
    pass


async def returns_what_json_has_no_word_for() -> dict[str, Any]:
    return {"bytes": b"\xff\x00", "nan": float("nan"), "after": timedelta(seconds=90), "several": {1}}


async def returns_what_cannot_be_stored() -> object:
    return object()


@pytest.mark.parametrize(
    ("task", "status", "body"),
    [
        (returns_nothing, 200, None),
        (
            returns_what_json_has_no_word_for,
            200,
            {"bytes": "_wA=", "nan": None, "after": "PT1M30S", "several": [1]},
        ),
        (returns_what_cannot_be_stored, 404, {"detail": "This job has succeeded, and its result cannot be shown."}),
    ],
)
async def test_results_of_all_kinds(site: Site, task: Any, status: int, body: Any) -> None:
    site.app.dependency_overrides.clear()
    job = await site.durable.enqueue(task)
    await job.wait(timeout=30)
    answer = await site.ask(f"/jobs/{job.id}/result", user="operator").end()
    assert (answer.status, answer.json) == (status, body)
    end = (await site.ask(f"/jobs/{job.id}/events", user="operator").end()).events[-1]
    assert (end.name, end.data["result"]) == ("end", body if status == 200 else None)


async def test_a_job_for_later_says_when_to_ask_again(site: Site) -> None:
    for delay, seconds in ((20, "20"), (3600, "60")):
        job = await site.durable.options(delay=delay).enqueue(report, "later")
        answer = await site.ask(f"/jobs/{job.id}", user="operator").end()
        assert (answer.headers["retry-after"], answer.headers["cache-control"]) == (seconds, "no-store")


async def test_scenario_38_cancel_what_waits_and_what_runs(site: Site) -> None:
    waits = await site.durable.options(delay=60).enqueue(report, "waits")
    answer = await site.ask(f"/jobs/{waits.id}/cancel", method="POST", user="operator").end()
    assert (answer.status, answer.json["state"]) == (200, "cancelled")
    runs = await site.added("runs")
    answer = await site.ask(f"/jobs/{runs.id}/cancel", method="POST").end()
    assert answer.status in {200, 202}
    assert (await runs.wait(timeout=30)).state is JobState.CANCELLED
    again = await site.ask(f"/jobs/{runs.id}/cancel", method="POST").end()
    assert (again.status, again.json) == (409, {"detail": "This job is cancelled: that is not possible then."})


async def test_retry_by_the_caller(site: Site) -> None:
    gate("fails").set()
    job = await site.added("fails")
    await job.wait(timeout=30)
    gates_shut = gate("fails")
    gates_shut.clear()
    answer = await site.ask(f"/jobs/{job.id}/retry", method="POST").end()
    assert (answer.status, answer.headers["retry-after"]) == (202, "1")
    assert answer.json["state"] in {"queued", "running"}
    assert (await site.ask(f"/jobs/{job.id}/retry", method="POST").end()).status == 409


async def test_a_store_that_does_not_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    where = await site.add("works")

    async def gone(_: object) -> None:
        raise StoreUnavailable("connection refused: postgres://ann@db")

    monkeypatch.setattr(site.durable.jobs, "get", gone)
    answer = await site.ask(where).end()
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "ann@db" not in answer.text
    await asyncio.sleep(0)
