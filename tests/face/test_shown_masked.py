"""A secret of a job is shown nowhere: not by a page, an answer, an event, a command or a search, in no field of it."""

import json
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from fastapi.testclient import TestClient

from postlude.codec.results import unstored
from postlude.job import Attempt, Event, Failure, NewJob, Progress, Record, Report
from postlude.loglines import LogLine
from postlude.masking import MASKED
from postlude.services import streams
from postlude.stores.contract import Filter, Store
from tests.cli.conftest import Desk
from tests.face.conftest import Make
from tests.stores.making import claim_of, ended, staged

SECRET = "front-door-7"
"""The password of each job. Behind no name of a secret in its texts: they are masked only because they repeat it."""
CARRIED = "with-its-caller"
"""What a context variable of the request has, for tasks alone."""
TASK = "strongroom:enter"

ARGUMENTS = frozenset({"argument", "key of an argument"})
ORIGIN = frozenset({"origin"})
TOLD = frozenset({"note of the progress"})
SAVED = frozenset({"saved state"})
LOG = frozenset({"log line"})
MESSAGE = frozenset({"message"})
TRACEBACK = frozenset({"traceback"})
FORMER = frozenset({"former message", "former traceback", "former reason"})
REASON = frozenset({"reason"})
WHY_CANCELLED = frozenset({"reason of a cancelled job"})
RESULT = frozenset({"result"})
NO_RESULT = frozenset({"reason why there is no result"})
ENDS = MESSAGE | TRACEBACK | REASON | WHY_CANCELLED | RESULT | NO_RESULT
EVERYTHING = ARGUMENTS | ORIGIN | TOLD | SAVED | LOG | FORMER | ENDS

READ_AS_TEXT = {"arguments", "reason", "origin", "result", "saved", "message", "traceback", "note"}
"""What a store has of a job that people or programs wrote while it ran; all of it is above."""
NAMES = {"task", "queue", "partition", "key", "policy", "outcome", "type", "level", "logger"}
"""Of what they chose as names before; docs/security.md says that these are shown."""


def says(field: str, what: str = SECRET) -> str:
    return f"the {field} says {what}."


def failure(former: str = "") -> Failure:
    return Failure("shop.Refused", says(f"{former}message"), f"Traceback:\n  {says(f'{former}traceback')}\n")


async def stored(store: Store) -> list[str]:
    """Jobs of all ends, that have the secret in each of their texts; returns their ids."""
    owner = await store.enlist()
    kwargs = {"note": says("argument"), "options": {says("key of an argument"): 1}, "password": SECRET}
    origin = {"route": says("origin"), "carry": {"caller": CARRIED}}
    failed, cancelled, succeeded, lost = jobs = [
        staged(owner, TASK, arguments=json.dumps({"args": [], "kwargs": kwargs}), origin=json.dumps(origin))
        for _ in range(4)
    ]
    await store.insert(jobs)
    line = LogLine(8.0, "WARNING", "shop", says("log line"), 1)
    await store.report({claim_of(failed): Report(saved=json.dumps({"at": says("saved state")}), lines=[line])})
    former = ended(claim_of(failed), Event.POSTPONE, failure=failure("former "), reason=says("former reason"))
    await store.settle(
        [
            former,
            ended(claim_of(cancelled), Event.CANCEL, reason=says("reason of a cancelled job")),
            ended(claim_of(succeeded), Event.SUCCEED, result=json.dumps({"is": says("result")})),
            ended(claim_of(lost), Event.SUCCEED, result=unstored(says("reason why there is no result"))),
        ]
    )
    (again,) = (await store.claim(owner=owner, tasks=[TASK], limit=9, now=30.0, idle=False)).claims
    end = {"failure": failure(), "reason": says("reason"), "progress": Progress(1, 2, says("note of the progress"))}
    await store.settle([ended(again, Event.FAIL, at=40.0, **end)])
    await store.dismiss(owner)
    return [str(job.id) for job in jobs]


class Site:
    """An application with these jobs, and who reads them."""

    def __init__(self, make: Make, url: str) -> None:
        app, self.durable = make(worker="off")
        app.include_router(self.durable.router(authorize=lambda: True))
        app.include_router(self.durable.router(), prefix="/open")
        app.mount("/postlude", self.durable.dashboard(authorize=lambda: "act"))
        self.client = TestClient(app)
        self.desk = Desk(url, None)
        self.ids: list[str] = []

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What it gives on the loop of the application."""
        assert self.client.portal is not None
        return self.client.portal.call(function, *args)

    @property
    def views(self) -> Any:
        return self.durable._runtime.views


@pytest.fixture
def site(make: Make, url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(streams, "EVERY", 0.05)
    site = Site(make, url)
    with site.client:
        site.ids = site.call(stored, site.call(site.durable._runtime.store))
        yield site


Reader = Callable[[Site], str]


def pages(*paths: str) -> Reader:
    """What the application answers at these paths, each for all jobs."""
    return lambda site: "".join(site.client.get(path.format(id=each)).text for path in paths for each in site.ids)


def command(*words: str) -> Reader:
    """What a command says, to whomever; once for each job if it is about one."""

    def read(site: Site) -> str:
        each_of = site.ids if "{id}" in words else [""]
        all_said = [site.desk.run(*(word.format(id=each) for word in words)) for each in each_of]
        return "".join(said.stdout + said.stderr for said in all_said)

    return read


def search(site: Site) -> str:
    """What is found if it is looked for."""
    texts = [says(field, what) for field in EVERYTHING for what in (SECRET, MASKED)]
    return "".join(text for text in texts if site.call(site.views.ids, Filter(text=text)))


READERS: dict[str, tuple[Reader, frozenset[str]]] = {
    "views.job": (lambda site: repr([site.call(site.views.job, each) for each in site.ids]), EVERYTHING),
    "views.jobs": (lambda site: repr(site.call(site.views.jobs)), TOLD | MESSAGE | WHY_CANCELLED),
    "search": (search, ARGUMENTS | MESSAGE | TRACEBACK | REASON | WHY_CANCELLED),
    "api status": (pages("/jobs/{id}"), TOLD | MESSAGE | REASON | WHY_CANCELLED),
    "api result": (pages("/jobs/{id}/result"), RESULT | REASON | WHY_CANCELLED),
    "api events": (pages("/jobs/{id}/events"), TOLD | MESSAGE | REASON | WHY_CANCELLED | RESULT | LOG),
    "api for all": (pages("/open/jobs/{id}", "/open/jobs/{id}/result", "/open/jobs/{id}/events"), TOLD),
    "page of a job": (pages("/postlude/jobs/{id}"), EVERYTHING - TOLD - REASON - {"former reason"}),
    "page of jobs": (pages("/postlude/jobs"), MESSAGE | WHY_CANCELLED),
    "other pages": (pages(*(f"/postlude/{name}" for name in ("", "tasks", "queues", "workers", "audit"))), frozenset()),
    "get": (command("jobs", "get", "{id}"), EVERYTHING - {"former message", "message"}),
    "get for programs": (command("jobs", "get", "{id}", "--json"), EVERYTHING),
    "list": (command("jobs", "list"), MESSAGE | WHY_CANCELLED),
    "list for programs": (command("jobs", "list", "--json"), TOLD | MESSAGE | WHY_CANCELLED),
    "wait": (command("jobs", "wait", "{id}"), TRACEBACK | WHY_CANCELLED | RESULT | NO_RESULT),
    "wait for programs": (command("jobs", "wait", "{id}", "--json"), EVERYTHING),
    "tail": (command("jobs", "tail", "{id}"), LOG | TRACEBACK | WHY_CANCELLED | RESULT | NO_RESULT),
    "tail for programs": (command("jobs", "tail", "{id}", "--json"), EVERYTHING),
    "export": (command("export"), TOLD | MESSAGE | WHY_CANCELLED),
    "export in full": (command("export", "--full"), EVERYTHING),
    "status": (command("status"), frozenset()),
}
"""Each with the fields that it shows."""


def test_no_reader_shows_a_secret_in_any_field(site: Site) -> None:
    said = {name: read(site) for name, (read, _) in READERS.items()}
    for hidden in (SECRET, CARRIED):
        assert {name: text.partition(hidden)[0][-60:] for name, text in said.items() if hidden in text} == {}
    shown = {name: {field for field in EVERYTHING if says(field, MASKED) in text} for name, text in said.items()}
    assert shown == {name: fields for name, (_, fields) in READERS.items()}, "what is masked is there"


def test_each_text_that_is_stored_of_a_job_is_one_of_these() -> None:
    hints = [hint for kind in (NewJob, Record, Attempt, Failure, Progress, LogLine) for hint in texts_of(kind)]
    assert {*hints} == READ_AS_TEXT | NAMES


def texts_of(kind: type) -> list[str]:
    return [name for name, hint in get_type_hints(kind).items() if hint in (str, str | None)]
