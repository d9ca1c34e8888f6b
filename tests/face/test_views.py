"""What pages and commands show of an application."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypedDict, Unpack
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, SecretStr, field_serializer

from postlude import BackgroundTasks, Cancel, JobState, Postlude, current_job, progress, schedule, task
from postlude.errors import JobNotFound, UnknownTask, UnknownValue
from postlude.job import Key, Terms
from postlude.limits import Limit, Rate
from postlude.masking import MASKED
from postlude.pauses import Pause
from postlude.statistics import Minute
from postlude.stores.contract import Filter, Store
from postlude.stores.gate import AuditLine
from postlude.stores.seeing import RunningJob, Waiting, WorkerReport, WorkerRow
from postlude.testing import Worker, worker
from postlude.views import Argument, Need, Views
from postlude.views.attention import needs_in
from postlude.views.jobs import JobPage
from postlude.views.texts import PORTION, PORTIONS
from postlude.views.values import readable
from tests.face.conftest import Make, ended
from tests.stores.making import queued, staged

S = JobState
SECRET = "hunter2-and-more"
NAME = __name__


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


def register(account: Account, *codes: str) -> Account:
    return account


@task(retries=1, backoff=0, queue="mail", max_running=2, rate="5/min")
def refuse(api_key: str) -> None:
    """Fail, and say too much."""
    message = f"refused {api_key}: <b>no</b>"
    raise PermissionError(message)


async def step_by_step(password: str) -> None:
    progress(1, 3, f"with {password}")
    await current_job().save({"secret": "deep", "at": 3})
    raise Cancel(f"{password} is no good")


def nightly() -> None: ...


class Login(NamedTuple):
    user: str
    password: str
    card: int = 0


@dataclass
class Visit:
    login: Login
    badge: str
    secret: str


class More(TypedDict, total=False):
    door: str
    token: str


def enter(url: str, visit: Visit, pairs: list[Login], **more: Unpack[More]) -> Login:
    return pairs[0]


def refuse_all(note: str, password: str, card: int, visit: Visit) -> None:
    progress(1, 2, f"tokens: 3 of 10 done, {password!r}")
    raise KeyError(password, card, repr(visit), f"tokens=['{note}'], Cookie: a=b; c=d")


@pytest.fixture
def durable(make: Make) -> Postlude:
    _, durable = make(worker="off", mask=["customer_number"])
    return durable


@pytest.fixture
async def work(durable: Postlude) -> AsyncIterator[Worker]:
    async with worker(durable) as work:
        yield work


def views_of(durable: Postlude) -> Views:
    return durable._runtime.views


async def store_of(durable: Postlude) -> Store:
    return await durable._runtime.store()


async def test_a_job_that_has_succeeded(durable: Postlude, work: Worker) -> None:
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    more = {"customer_number": 5, "note": [1, {"pin": 7}]}
    job = await durable.enqueue(sign_in, "anna", SECRET, when=when, **more)
    await work.run_pending()
    view = await views_of(durable).job(str(job.id))
    assert view.row.state is S.SUCCEEDED
    assert view.arguments == [
        Argument("login", "anna", masked=False),
        Argument("password", MASKED, masked=True),
        Argument("when", "2026-01-02T03:04:00Z", masked=False),
        Argument("customer_number", MASKED, masked=True),
        Argument("note", [1, {"pin": MASKED}], masked=True),
    ]
    assert view.result == Argument("result", {"login": "anna", "token": MASKED}, masked=True)
    assert (view.arguments_note, view.result_note, view.message) == (None, None, None)
    assert [(span.number, span.outcome) for span in view.spans] == [(1, "succeeded")]
    assert view.row.seconds is not None
    assert view.can == {"delete"}
    assert SECRET not in repr(view)


async def test_secrets_by_type_and_positions_without_a_name(durable: Postlude, work: Worker) -> None:
    job = await durable.enqueue(register, Account(login="anna", door=SecretStr(SECRET)), "one", "two")
    await work.run_pending()
    view = await views_of(durable).job(job.id)
    assert view.arguments == [
        Argument("account", {"login": "anna", "door": MASKED}, masked=True),
        Argument("codes[0]", "one", masked=False),
        Argument("codes[1]", "two", masked=False),
    ]
    assert view.result is not None
    assert view.result.value == {"login": "anna", "door": MASKED}


async def test_named_tuples_dataclasses_and_texts_that_repeat_secrets(durable: Postlude, work: Worker) -> None:
    login = Login("anna", SECRET, 4111111111111111)
    visit = Visit(login, "b-1", "another-secret")
    url = f"https://anna:{SECRET}@host/?token=abc&to=Bearer abcdefghijkl"
    job = await durable.enqueue(enter, url, visit, [login], door="d-1", token="t-1")
    await work.run_pending()
    view = await views_of(durable).job(job.id)
    masked = ["anna", MASKED, MASKED]
    assert [(each.name, each.value) for each in view.arguments] == [
        ("url", f"https://anna:{MASKED}@host/?token={MASKED}&to=Bearer {MASKED}"),
        ("visit", {"login": masked, "badge": "b-1", "secret": MASKED}),
        ("pairs", [masked]),
        ("door", "d-1"),
        ("token", MASKED),
    ]
    assert all(each.masked for each in view.arguments if each.name != "door")
    assert view.result == Argument("result", masked, masked=True)


async def test_a_secret_is_masked_wherever_a_text_repeats_it(durable: Postlude, work: Worker) -> None:
    secret = "it's \n\\ secret"
    visit = Visit(Login("anna", "pw-of-anna", 4222222222222222), "b-1", "x-of-visit")
    job = await durable.enqueue(refuse_all, f"with {secret} and 4111111111111111", secret, 4111111111111111, visit)
    await work.run_all()
    view = await views_of(durable).job(job.id)
    assert view.message == (
        f"(\"{MASKED}\", {MASKED}, \"Visit(login=Login(user='anna', password={MASKED}, card={MASKED}), badge='b-1', "
        f'secret={MASKED})", "tokens={MASKED}, Cookie: {MASKED}'
    )
    assert view.arguments[0] == Argument("note", f"with {MASKED} and {MASKED}", masked=True)
    assert view.row.progress is not None
    assert view.row.progress.note == f'tokens: 3 of 10 done, "{MASKED}"'
    [row] = (await views_of(durable).jobs()).rows
    for known in ('secret"', "41111", "42222", "pw-of", "x-of"):
        assert known not in repr((view, row))


async def test_a_note_has_no_part_of_a_secret_of_several_lines(durable: Postlude, work: Worker) -> None:
    job = await durable.enqueue(refuse, "first line\nsecond line")
    await work.run_all()
    assert (await views_of(durable).job(job.id)).row.note == f"PermissionError: refused {MASKED}: <b>no</b>"


async def test_a_job_that_failed(durable: Postlude, work: Worker) -> None:
    job = await durable.enqueue(refuse, SECRET)
    await work.run_all()
    view = await views_of(durable).job(job.id)
    assert (view.row.state, view.row.attempts, view.error_type) == (S.FAILED, 2, "PermissionError")
    assert view.message == f"refused {MASKED}: <b>no</b>"
    assert view.row.note == f"PermissionError: refused {MASKED}: <b>no</b>"
    assert view.traceback is not None
    assert "Traceback" in view.traceback
    assert [(span.number, span.outcome, span.message) for span in view.spans] == [
        (1, "failed", view.message),
        (2, "failed", view.message),
    ]
    assert view.can == {"retry", "delete"}
    assert SECRET not in repr(view)


async def test_progress_and_what_was_saved(durable: Postlude, work: Worker) -> None:
    job = await durable.enqueue(step_by_step, SECRET)
    await work.run_pending()
    view = await views_of(durable).job(job.id)
    assert view.saved == Argument("saved", {"secret": MASKED, "at": 3}, masked=True)
    assert view.row.progress is not None
    assert view.row.progress.note == f"with {MASKED}"
    assert view.reason == f"{MASKED} is no good"
    assert SECRET not in repr(view)


async def test_a_task_that_is_not_known_here(durable: Postlude, work: Worker) -> None:
    store = await store_of(durable)
    arguments = json.dumps({"args": ["anna", ["x", {"token": 1}]], "kwargs": {"password": "y", "to": "z"}})
    job = queued("other:task", arguments=arguments)
    await store.insert([job])
    view = await views_of(durable).job(job.id)
    assert not view.row.known
    assert [(each.name, each.value) for each in view.arguments] == [
        ("[0]", MASKED),
        ("[1]", ["x", {"token": MASKED}]),
        ("password", MASKED),
        ("to", "z"),
    ]


async def test_arguments_that_are_not_there(durable: Postlude, work: Worker) -> None:
    store = await store_of(durable)
    owner = await store.enlist()
    for arguments, note in ((None, "never left"), ("", "erased"), ("[]", "not in the form")):
        job = staged(owner, arguments=arguments)
        await store.insert([job])
        view = await views_of(durable).job(job.id)
        assert view.arguments == ()
        assert view.arguments_note is not None
        assert note in view.arguments_note
        assert view.can == {"cancel"}


async def test_a_chain(make: Make) -> None:
    app, durable = make(worker="off")

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> list[str]:
        return [str(tasks.add_task(sign_in, name, "x").id) for name in ("a", "b", "c")]

    ids = TestClient(app).post("/").json()
    view = await views_of(durable).job(ids[1])
    assert [(str(each.id), each.this) for each in view.chain] == [(ids[0], False), (ids[1], True), (ids[2], False)]
    assert view.origin["route"] == "POST /"
    await durable.close()


async def test_what_is_no_job(durable: Postlude, work: Worker) -> None:
    with pytest.raises(JobNotFound):
        await views_of(durable).job(uuid4())
    with pytest.raises(UnknownValue, match="Expected the id of a job"):
        await views_of(durable).job("5")


async def test_pages_there_and_back(durable: Postlude, work: Worker) -> None:
    jobs = await durable.enqueue_many(sign_in, [(str(number), "x") for number in range(25)])
    views = views_of(durable)
    first = await views.jobs(limit=10)
    second = await views.jobs(limit=10, place=first.older)
    third = await views.jobs(limit=10, place=second.older)
    assert [row.id for page in (first, second, third) for row in page.rows] == [job.id for job in reversed(jobs)]
    assert (first.newer, third.older, len(third.rows), third.partial) == (None, None, 5, False)
    assert (await views.jobs(limit=10, place=third.newer, newer=True)).rows == second.rows
    # From the middle of the first page: the first page, and a full one.
    odd = await views.jobs(limit=3, place=first.older)
    back = await views.jobs(limit=20, place=odd.newer, newer=True)
    assert back.rows == (await views.jobs(limit=20)).rows
    for limit in (0, 1001, True):
        with pytest.raises(UnknownValue, match="limit: expected a whole number from 1 to 1,000"):
            await views.jobs(limit=limit)


async def test_a_search_finds_what_is_shown_and_no_secret(durable: Postlude, work: Worker) -> None:
    job = await durable.enqueue(sign_in, "anna", SECRET)
    failed = await durable.enqueue(refuse, SECRET)
    await work.run_all()
    views = views_of(durable)

    async def found(text: str) -> list[object]:
        wanted = Filter(text=text)
        rows = (await views.jobs(wanted)).rows
        assert (await views.counts(wanted)).total == len(rows)
        return [row.id for row in rows]

    loud = await durable.enqueue(sign_in, "BERT", SECRET)
    assert await found("ANNA") == [job.id]
    assert await found("bert") == [loud.id]
    assert await found("refused") == [failed.id]
    assert await found("hunter2") == []
    assert await found(SECRET) == []


async def test_what_a_search_says_is_the_same_whatever_is_masked(durable: Postlude, work: Worker) -> None:
    """The page, where it goes on, and the numbers: a guess that is right is answered as one that is wrong."""
    await durable.enqueue_many(sign_in, [("anna", SECRET)] * 60)
    views = views_of(durable)

    async def said(text: str) -> tuple[object, ...]:
        page = await views.jobs(Filter(text=text), limit=10)
        counts = await views.counts(Filter(text=text))
        return [row.id for row in page.rows], page.older, page.newer, page.partial, counts

    for right, wrong in (
        (SECRET, "hunter3"),
        (SECRET[:3], "xyz"),
        (f'"{SECRET[0]}', '"q'),
        ('"args": ["anna", "h', "zz"),
    ):
        assert await said(right) == await said(wrong)
    rows, *_, counts = await said("masked")
    assert (len(rows), counts.total) == (10, 60), "that is shown of each, whatever it is"  # type: ignore[arg-type, attr-defined]


async def test_a_search_for_text_goes_through_all_there_and_back(durable: Postlude, work: Worker) -> None:
    jobs = await durable.enqueue_many(
        sign_in, [(f"{'odd' if number % 7 else 'seven'} {number}", "x") for number in range(250)]
    )
    views, wanted = views_of(durable), Filter(text="SEVEN")
    expected = [job.id for number, job in enumerate(jobs) if not number % 7][::-1]
    pages: list[JobPage] = []
    place: str | None = None
    while not pages or place is not None:
        pages.append(await views.jobs(wanted, limit=10, place=place))
        place = pages[-1].older
    assert [row.id for page in pages for row in page.rows] == expected
    back = await views.jobs(wanted, limit=10, place=pages[2].newer, newer=True)
    assert back.rows == pages[1].rows
    assert await views.ids(wanted) == expected


async def test_a_search_for_text_looks_at_so_many_at_a_time(durable: Postlude, work: Worker) -> None:
    await durable.enqueue(sign_in, "first", "x")
    await durable.enqueue_many(sign_in, [("other", "x")] * PORTION * PORTIONS)
    views, wanted = views_of(durable), Filter(text="first")
    page, counts = await views.jobs(wanted), await views.counts(wanted)
    assert (page.rows, page.partial, counts.text()) == ([], True, "0+")
    (row,) = (await views.jobs(wanted, place=page.older)).rows
    assert [row.id] == await views.ids(wanted)


async def test_counts_for_people(durable: Postlude, work: Worker) -> None:
    await durable.enqueue_many(sign_in, [(str(number), "x") for number in range(12)])
    counts = await views_of(durable).counts(most=10)
    assert counts.text() == counts.text(S.QUEUED) == "10+"
    counts = await views_of(durable).counts(Filter(frozenset({S.QUEUED, S.FAILED})))
    assert (counts.text(), counts.text(S.FAILED), counts.text(S.QUEUED)) == ("12", "0", "12")


async def test_tasks(durable: Postlude, work: Worker) -> None:
    schedule("0 3 * * *", name="nightly")(nightly)
    await durable.enqueue(refuse, "k")
    store = await store_of(durable)
    await store.insert([queued("other:gone")])
    await store.pause(Pause("task", "other:gone", since=1.0))
    tasks = {view.name: view for view in await views_of(durable).tasks()}
    view = tasks[f"{NAME}:refuse"]
    assert (view.known, view.signature, view.summary) == (True, "(api_key: str) -> None", "Fail, and say too much.")
    assert (view.queue, view.retries, view.limit) == ("mail", "1, 0", Limit(2, Rate(5, 60.0)))
    assert ("rate", "5 in 60 s") in view.options
    assert [(each.queue, each.due) for each in view.waiting] == [("mail", 1)]
    gone = tasks["other:gone"]
    assert (gone.known, gone.unresolvable, gone.signature) == (False, True, None)
    assert gone.why_unknown is not None
    assert [pause.kind for pause in gone.pauses] == ["task"]
    assert tasks[f"{NAME}:nightly"].limit is None
    assert await views_of(durable).task("other:gone") == gone
    with pytest.raises(UnknownTask):
        await views_of(durable).task("no:such")


async def test_what_was_is_told_of_for_a_day(durable: Postlude, work: Worker) -> None:
    store, now = await store_of(durable), work.now.timestamp()
    await store.seeing.add_statistics([Minute(int(now) // 60 * 60, "old:task", {"succeeded": 1})], now=now)
    await durable.enqueue(refuse, "k")
    await work.run_all()
    assert "old:task" in {view.name for view in await views_of(durable).tasks()}
    assert "failed" in {need.kind for need in await views_of(durable).needs()}
    await work.advance(86_400 + 3_600)
    assert "old:task" not in {view.name for view in await views_of(durable).tasks()}
    assert "failed" not in {need.kind for need in await views_of(durable).needs()}


async def test_queues_limits_and_pauses(durable: Postlude, work: Worker) -> None:
    await durable.enqueue(refuse, "k")
    await durable.options(queue="later", delay=60).enqueue(sign_in, "a", "b")
    await durable.jobs.pause(queue="mail", reason="too much")
    view = await views_of(durable).queues()
    queues = {queue.name: queue for queue in view.queues}
    assert {"default", "later", "mail"} <= queues.keys()
    mail, later = queues["mail"], queues["later"]
    assert mail.paused is not None
    assert (mail.paused.reason, mail.due, mail.later) == ("too much", 1, 0)
    assert mail.oldest_due == pytest.approx(work.now.timestamp(), abs=1e-3)
    assert (later.due, later.later) == (0, 1)
    assert later.tasks[0].next_at == pytest.approx(work.now.timestamp() + 60, abs=1e-3)
    (limit,) = [limit for limit in view.limits if limit.task == f"{NAME}:refuse"]
    assert (limit.running, limit.started, limit.limit) == (0, 0, Limit(2, Rate(5, 60.0)))


async def test_schedules(durable: Postlude, work: Worker) -> None:
    schedule("0 3 * * *", name="nightly")(nightly)
    (view,) = [view for view in await views_of(durable).schedules() if view.info.name == "nightly"]
    moments = [datetime.fromtimestamp(moment, UTC) for moment in view.next_runs]
    assert [(moment.hour, moment.minute) for moment in moments] == [(3, 0)] * 5
    assert (view.problem, view.refused) == (None, False)


async def test_audit(durable: Postlude, work: Worker) -> None:
    store = await store_of(durable)
    for number in range(3):
        await store.gate.add_audit(AuditLine(float(number), "anna", "act", "retry", "a job"))
    lines = await views_of(durable).audit(limit=2)
    assert [line.at for line in lines] == [2.0, 1.0]
    assert [line.at for line in await views_of(durable).audit(before=lines[-1].number)] == [0.0]


REPORT = WorkerReport("1", "3", True, "worker", {}, {}, 0, [], 0.0, 0)


async def test_what_needs_a_person(durable: Postlude, work: Worker) -> None:
    views, store = views_of(durable), await store_of(durable)
    (row,) = await store.seeing.workers()

    async def needs(report: WorkerReport) -> dict[str, Need]:
        await store.seeing.report_worker(row.id, report, now=work.now.timestamp())
        return {need.kind: need for need in await views.needs()}

    assert await views.needs() == []
    await durable.enqueue(refuse, "k")
    await work.run_all()
    await store.insert([queued("other:gone", run_at=work.now.timestamp(), terms=Terms(key=Key("k")))])
    await durable.jobs.pause(queue="mail", reason="too much")
    knows_not = REPORT._replace(unknown=["other:gone"])
    found = await needs(knows_not)
    assert found.keys() == {"failed", "unresolvable", "paused"}
    assert [need.grave for need in await views.needs()] == [True, False, False]
    assert found["unresolvable"].text == "1 job of other:gone wait, and no living worker knows a task of that name."
    assert (found["failed"].task, found["failed"].count) == (f"{NAME}:refuse", 1)
    assert found["paused"].text == "Queue mail is paused: too much."
    # One that knows it is enough; then it is only late.
    await work.advance(400)
    found = await needs(REPORT._replace(loop_lag=3.0, abandoned=2))
    assert found.keys() == {"failed", "waiting", "stuck", "paused"}
    assert "for 7 min" in found["waiting"].text
    assert "kept everything else waiting for 3.0 s" in found["stuck"].text
    assert "2 of its threads go on" in found["stuck"].text
    # A process that only adds jobs is none that runs them; nor is one that has never said so.
    found = await needs(REPORT._replace(runs_jobs=False))
    assert found["no_worker"].grave
    assert found["no_worker"].text == "1 job could run, and no worker is alive."


async def test_a_command_that_looks_is_no_worker(durable: Postlude, work: Worker) -> None:
    store = await store_of(durable)
    await store.insert([queued(run_at=work.now.timestamp() - 1)])
    assert "no_worker" in {need.kind for need in await views_of(durable).needs()}


async def test_one_of_a_former_release_may_run_anything(durable: Postlude, work: Worker) -> None:
    store, views = await store_of(durable), views_of(durable)
    (row,) = await store.seeing.workers()
    facts = await views._facts(store)
    waits = [Waiting("default", "other:gone", due=1, due_since=facts.now - 400), Waiting("default", f"{NAME}:refuse")]
    former = row._replace(reports=False)

    def needs(*workers: WorkerRow) -> set[str]:
        return {need.kind for need in needs_in(facts._replace(waiting=waits, workers=workers))}

    assert (row.reports, former.report) == (True, None)
    assert needs(row) == {"no_worker", "unresolvable"}
    # Whether it knows a task cannot be told: what is not known here either is said to be nobody's.
    assert needs(former) == {"unresolvable"}
    waits[0] = waits[0]._replace(task=f"{NAME}:refuse")
    assert needs(former) == {"waiting"}
    assert needs(former, row._replace(report=REPORT._replace(unknown=[f"{NAME}:refuse"]))) == {"waiting"}
    assert needs(former._replace(alive=False)) == needs(former._replace(stopping=True)) == {"no_worker"}


async def test_who_promises_a_report_within_a_minute_is_not_silent_before(durable: Postlude, work: Worker) -> None:
    views, store, now = views_of(durable), await store_of(durable), work.now.timestamp()
    (row,) = await store.seeing.workers()
    for age, state in ((84, "idle"), (86, "silent")):
        await store.seeing.report_worker(row.id, REPORT._replace(next_within=60.0), now=now - age)
        assert [view.state for view in (await views.workers()).workers] == [state]


async def test_workers(durable: Postlude, work: Worker) -> None:
    views, store = views_of(durable), await store_of(durable)
    (idle,) = (await views.workers()).workers
    assert (idle.state, idle.problems, idle.row.report) == ("idle", [], None)
    now = work.now.timestamp()
    for report, at, stopping, state in (
        (REPORT, now, False, "idle"),
        (REPORT._replace(running=1), now, False, "running"),
        (REPORT, now - 31, False, "silent"),
        (REPORT, now, True, "stopping"),
    ):
        await store.seeing.report_worker(idle.row.id, report, now=at)
        if stopping:
            await store.announce_stop(idle.row.id)
        (view,) = (await views.workers()).workers
        assert view.state == state


async def test_what_runs_and_what_is_due_now(durable: Postlude, work: Worker) -> None:
    views, store, now = views_of(durable), await store_of(durable), work.now.timestamp()
    jobs = [RunningJob(uuid4(), "app:f", now - number) for number in range(60)]
    (row,) = await store.seeing.workers()
    await store.seeing.report_worker(row.id, REPORT._replace(running=70, jobs=jobs), now=now)
    await store.insert([queued("app:f", run_at=now - 5), queued("app:f", run_at=now - 9)])
    overview = await views.overview()
    assert [job.since for job in overview.running] == sorted(job.since for job in jobs)[:50]
    assert (overview.running_count, overview.workers) == (70, 1)
    assert (overview.due, overview.due_text, overview.oldest_due) == (2, "2", now - 9)


def test_the_overview_of_a_server(make: Make) -> None:
    """What really runs is counted, said and shown; also what is written at the very end."""
    app, durable = make()

    @app.post("/")
    def endpoint(tasks: BackgroundTasks) -> str:
        return str(tasks.add_task(sign_in, "a", SECRET).id)

    with TestClient(app) as client:
        ended(durable, client.post("/").json())
        (worker,) = client.portal.call(views_of(durable).workers).workers  # type: ignore[union-attr]
        assert worker.row.report is not None
        assert worker.row.report.slots["thread"] == 16
        assert worker.row.report.runs_jobs
    overview = durable.blocking._portal.call(views_of(durable).overview())
    assert overview.counts.states[S.SUCCEEDED] == 1
    assert overview.total.counts["succeeded"] == 1
    assert overview.total.failure_rate == 0.0
    assert overview.total.run.p50 is not None
    assert overview.total.start.p99 is not None
    assert (len(overview.points), overview.step, overview.span) == (60, 60, 3600.0)
    assert sum(point.rates.counts["succeeded"] for point in overview.points) == 1
    assert overview.needs == []
    day = durable.blocking._portal.call(views_of(durable).overview("day"))
    assert (len(day.points), day.step, day.total.counts["succeeded"]) == (144, 600, 1)


def test_values_for_people() -> None:
    stored = {
        "$exact": {
            "$tuple": [
                {"$dict": [[1, "one"], [{"$tuple": [1, 2]}, {"$float": "inf"}]]},
                {"$bytes": "AAE="},
                {"$datetime": ["2026-01-02T03:04:05", 0, "Europe/Berlin"]},
                {"$timedelta": [1, 2, 0]},
                {"$uuid": "0189c6c0-0000-7000-8000-000000000000"},
                {"$later": 5},
            ]
        }
    }
    assert readable(stored) == [
        {"1": "one", "[1, 2]": "inf"},
        "AAE= (base64)",
        "2026-01-02 03:04:05+01:00",
        "1 day, 0:00:02",
        "0189c6c0-0000-7000-8000-000000000000",
        {"$later": 5},
    ]


def test_no_application_is_needed() -> None:
    assert isinstance(views_of(Postlude(FastAPI())), Views)
