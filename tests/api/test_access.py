"""Who may see a job, and who may change it: every route × nobody, view, act, owner, other owner, and no `authorize`."""

from typing import Annotated
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Response

from postlude import BackgroundTasks, Postlude, accepted
from postlude.api import RequestedJob, Visitor
from postlude.errors import CallError
from tests.api.asgi import Answer, serving
from tests.api.conftest import Site, gate, owner_only, report, signed_in

ROUTES = [
    ("GET", "", 200),
    ("GET", "/events", 200),
    ("GET", "/result", 200),
    ("POST", "/cancel", 200),
    ("POST", "/retry", 202),
]


CALLERS = [
    ("nobody", None, 401, 401),
    ("view", "viewer", None, 403),
    ("act", "operator", None, None),
    ("owner", "ann", None, None),
    ("other owner", "bob", 404, 404),
]
"""Who asks, as whom, and what is answered to who asks and to who acts; None: it is fine."""


async def in_the_state_for(site: Site, route: str) -> str:
    """Where a job is told of that has what the route needs."""
    if route == "/cancel":
        return await site.add("waits")
    name = "fails" if route == "/retry" else "works"
    gate(name).set()
    job = await site.added(name)
    await job.wait(timeout=30)
    return f"/jobs/{job.id}"


@pytest.mark.parametrize(("method", "route", "fine"), ROUTES, ids=[f"{m} {r}" for m, r, _ in ROUTES])
async def test_every_route_for_everybody(site: Site, method: str, route: str, fine: int) -> None:
    for who, user, seen, changed in CALLERS:
        where = await in_the_state_for(site, route)
        answer = await site.ask(where + route, method=method, user=user).end()
        expected = (changed if method == "POST" else seen) or fine
        # A job that runs is asked to end, and may not have ended yet.
        also = 202 if (route, expected) == ("/cancel", 200) else expected
        assert answer.status in {expected, also}, who
        if expected in {401, 403, 404}:
            assert set(answer.json) == {"detail"}
            assert "report" not in answer.text


@pytest.mark.parametrize(("method", "route", "_"), ROUTES, ids=[f"{m} {r}" for m, r, _ in ROUTES])
async def test_without_authorize_only_state_and_progress_are_told(
    open_site: Site, method: str, route: str, _: int
) -> None:
    where = await in_the_state_for(open_site, route)
    answer = await open_site.ask(where + route, method=method, user=None).end()
    if route in {"", "/events"}:
        assert answer.status == 200
        for said in [answer.json] if route == "" else [event.data for event in answer.events]:
            assert set(said) == {"id", "state", "progress", "created_at", "run_at", "started_at", "finished_at"}
    else:
        assert answer.status == 403
        assert "authorize=" in answer.json["detail"]
    for secret in ("works", "k-1", "Traceback", "report"):
        assert secret not in answer.text


async def test_a_job_that_is_not_there(site: Site) -> None:
    for path in ("/jobs/01900000-0000-7000-8000-000000000000", "/jobs/01900000-0000-7000-8000-000000000000/events"):
        assert (await site.ask(path).end()).status == 404
    assert (await site.ask("/jobs/17").end()).status == 404


@pytest.mark.parametrize("forgotten", [None, False])
async def test_what_authorize_must_say(place: str, forgotten: bool | None) -> None:
    site = Site(place, lambda: forgotten, worker="off")
    async with serving(site.app):
        assert (await site.ask(await site.add("works")).end()).status == 404


async def test_what_authorize_must_not_say(place: str) -> None:
    site = Site(place, lambda: "admin", worker="off")
    async with serving(site.app):
        with pytest.raises(CallError, match=r'expected True or "act", "view", a Visitor.* got \'admin\''):
            await site.ask(await site.add("works")).end()


@pytest.mark.parametrize(("granted", "who"), [(Visitor("ann", "act"), "ann"), (True, "unnamed")], ids=["named", "not"])
async def test_what_callers_do_is_written_down(place: str, granted: object, who: str) -> None:
    site = Site(place, lambda: granted, worker="off")
    async with serving(site.app):
        where = await site.add("waits")
        for action, status in (("cancel", 200), ("cancel", 409), ("retry", 202), ("retry", 409)):
            assert (await site.ask(f"{where}/{action}", method="POST").end()).status == status
        lines = await (await site.durable._runtime.store()).gate.audit(limit=9)
    job_id = where.rpartition("/")[2]
    written = [(line.who, line.role, line.action, line.target) for line in reversed(lines)]
    assert written == [(who, "caller", action, job_id) for action in ("cancel", "retry")]


async def test_a_visitor_who_may_only_see(place: str) -> None:
    site = Site(place, lambda: Visitor("eve", "view"), worker="off")
    async with serving(site.app):
        where = await site.add("waits")
        assert (await site.ask(where).end()).json["task"]
        assert (await site.ask(f"{where}/cancel", method="POST").end()).status == 403


def test_an_authorize_that_cannot_be_called(place: str) -> None:
    def authorize(job: object, what: Postlude) -> bool:
        raise NotImplementedError

    durable = Postlude(FastAPI(), place)
    with pytest.raises(CallError, match="RequestedJob"):
        durable.router(authorize=authorize)


async def test_several_callers_of_one_job_are_told_apart_by_the_id_that_each_has_got(place: str) -> None:
    given: dict[UUID, str] = {}

    async def by_table(job: RequestedJob, job_id: UUID, user: Annotated[str, Depends(signed_in)]) -> bool:
        assert job.task.endswith("report")
        return given.get(job_id) == user

    site = Site(place, by_table, worker="off")

    @site.app.post("/shared")
    async def order(tasks: BackgroundTasks, user: Annotated[str, Depends(signed_in)]) -> Response:
        job = tasks.options(key="one").add_task(report, "shared")
        given[job.id] = user
        return accepted(job)

    async with serving(site.app):
        where = {user: (await site.ask("/shared", method="POST", user=user).end()).json for user in ("ann", "bob")}
        assert where["ann"]["id"] != where["bob"]["id"]
        for user, other in (("ann", "bob"), ("bob", "ann")):
            answer = await site.ask(where[user]["status"], user=user).end()
            assert (answer.status, answer.json["id"]) == (200, where["ann"]["id"]), "one job answers for both"
            assert (await site.ask(where[user]["status"], user=other).end()).status == 404


def test_an_authorize_that_is_none(place: str) -> None:
    durable = Postlude(FastAPI(), place)
    with pytest.raises(CallError, match="expected a function that FastAPI can depend on, got Depends"):
        durable.router(authorize=Depends(owner_only))


async def test_the_requested_job_outside_of_these_routes(place: str) -> None:
    app = FastAPI()

    @app.get("/{job_id}")  # noqa: FAST003 - the annotation takes it
    async def endpoint(job: RequestedJob) -> None:
        raise NotImplementedError

    with pytest.raises(CallError, match=r"durable\.router"):
        await Answer(app, "/01900000-0000-7000-8000-000000000000").end()


async def test_the_overrides_of_the_application_hold(site: Site) -> None:
    where = await site.add("waits", user="ann")
    site.app.dependency_overrides[signed_in] = lambda: "ann"
    assert (await site.ask(where, user=None).end()).status == 200
