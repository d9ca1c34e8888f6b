"""What is done from the pages: that it happens, that it is said, and that it is written down."""

import html
import re
from typing import Any

import pytest

from postlude import schedule, task
from postlude.dashboard import Visitor
from postlude.ids import new_job_id
from tests.dashboard.conftest import Visit, Visited


@task(name="acted:mail", queue="mail")
def mail(to: str) -> None: ...


@task(name="acted:report")
def report() -> None: ...


@pytest.fixture
def visited(visit: Visit) -> Visited:
    return visit(authorize=lambda: Visitor("ada", "act"))


def said(visited: Visited, answer: Any) -> str:
    """What the page has to say to which an action leads."""
    assert answer.status_code == 303, answer.text
    page = visited.client.get(answer.headers["location"])
    found = re.search(r'<div id="said".*?>(.*?)</div>', page.text)
    assert found is not None
    return html.unescape(re.sub("<.*?>", "", found[1]))


def written(visited: Visited) -> list[tuple[str, str, str]]:
    lines = visited.durable._portal.call(visited.dashboard.site.views.audit())
    return [(line.who, line.action, line.target) for line in reversed(lines)]


def mails(visited: Visited, *to: str) -> list[str]:
    delayed = visited.durable.blocking.options(delay=3600)
    return [str(job.id) for job in delayed.enqueue_many(mail, [(each,) for each in to])]


def test_one_job_is_cancelled_retried_and_deleted(visited: Visited) -> None:
    (job_id,) = mails(visited, "a@example.com")
    jobs = visited.durable.blocking.jobs
    assert said(visited, visited.post(f"jobs/{job_id}/cancel")) == "Cancelled."
    assert jobs.get(job_id).reason == "cancelled by ada"
    assert "not possible then" in said(visited, visited.post(f"jobs/{job_id}/cancel"))
    assert said(visited, visited.post(f"jobs/{job_id}/retry")) == "Queued: it runs again."
    visited.post(f"jobs/{job_id}/cancel")
    assert said(visited, visited.post(f"jobs/{job_id}/delete")) == f"Job {job_id} was deleted."
    assert visited.get(f"jobs/{job_id}").status_code == 404
    assert visited.post(f"jobs/{job_id}/retry").status_code == 404
    assert written(visited) == [("ada", what, job_id) for what in ("cancel", "retry", "cancel", "delete")]


def test_what_was_said_is_said_once(visited: Visited) -> None:
    (job_id,) = mails(visited, "a@example.com")
    assert said(visited, visited.post(f"jobs/{job_id}/cancel"))
    assert "Cancelled.<" not in visited.get(f"jobs/{job_id}").text


def test_what_there_is_to_say_fits_into_a_cookie(visited: Visited) -> None:
    long = "ä" * 3_000
    answer = visited.client.post(
        "/postlude/queues/pause", data={**visited.token(), "queue": "mail", "reason": long, "task": long}
    )
    assert "Expected queue=" in said(visited, answer)
    answer = visited.client.post("/postlude/queues/resume", data={**visited.token(), "task": long})
    assert len(answer.headers["set-cookie"]) < 4_000
    assert "ä" * 500 in said(visited, answer)


def test_those_that_match_are_done_and_those_added_since_are_not(visited: Visited) -> None:
    mails(visited, "a@example.com", "b@example.com")
    question = visited.get("bulk?do=cancel&queue=mail").text
    assert "Cancel 2 jobs?" in question
    until = re.search(r'name="until" value="([\d.]+)"', question)
    assert until is not None
    mails(visited, "c@example.com")
    answer = visited.post("bulk", do="cancel", queue="mail", until=until[1])
    assert said(visited, answer) == "2 jobs were cancelled, or asked to end."
    assert visited.durable.blocking.jobs.count(task=mail, state="queued") == {"queued": 1}
    assert written(visited) == [("ada", "cancel", "2 jobs: in the queue mail")]


def test_the_question_shows_all_of_few_jobs_and_the_newest_of_many(visited: Visited) -> None:
    mails(visited, "a@example.com")
    question = visited.get("bulk?do=cancel&queue=mail").text
    assert "<title>Cancel 1 job · Postlude</title>" in question
    assert "The newest of them." not in question
    mails(visited, *(f"{number}@example.com" for number in range(10)))
    assert "The newest of them." in visited.get("bulk?do=cancel&queue=mail").text


def test_a_retry_of_many_keeps_to_its_rate(visited: Visited) -> None:
    mails(visited, "a@example.com", "b@example.com", "c@example.com")
    blocking = visited.durable.blocking
    blocking.jobs.cancel_many()
    answer = visited.post("bulk", do="retry", state="cancelled", rate="2/min", until="9999999999")
    assert said(visited, answer) == "3 jobs were queued again."
    first, *_, last = sorted(job.run_at for job in blocking.jobs.list() if job.run_at is not None)
    assert (last - first).total_seconds() == pytest.approx(60)
    assert visited.post("bulk", do="retry", rate="much", until="9999999999").status_code == 400


def test_those_that_were_chosen_are_done_and_the_others_named(visited: Visited) -> None:
    mine, other = mails(visited, "a@example.com", "b@example.com")
    gone = str(new_job_id())
    assert "Cancel 2 jobs?" in visited.get(f"bulk?do=cancel&id={mine}&id={gone}").text
    answer = visited.client.post(
        "/postlude/bulk", data={**visited.token(), "do": "cancel", "id": [mine, gone], "until": "0"}
    )
    assert said(visited, answer).startswith("1 job was cancelled, or asked to end. 1 job was left as they are. No job")
    assert visited.durable.blocking.jobs.get(other).state == "queued"


@pytest.mark.parametrize(("mask", "found"), [([], "1 job was"), (["to"], "0 jobs were")])
def test_a_text_is_looked_for_in_what_is_shown(visit: Visit, mask: list[str], found: str) -> None:
    visited = visit(authorize=lambda: "act", mask=mask)
    mails(visited, "a@example.com", "b@other.example")
    assert ("nothing to cancel" in visited.get("bulk?do=cancel&text=A@example").text) == bool(mask)
    assert said(visited, visited.post("bulk", do="cancel", text="A@example", until="9999999999")).startswith(found)


def test_where_nothing_can_be_done_it_is_said(visited: Visited) -> None:
    mails(visited, "a@example.com")
    assert "nothing to delete" in visited.get("bulk?do=delete&state=queued").text
    assert (
        said(visited, visited.post("bulk", do="delete", state="queued", until="9999999999")) == "0 jobs were deleted."
    )
    for until in ("soon", "nan", "", "1e9"):
        assert visited.post("bulk", do="delete", until=until).status_code == 400


def test_queues_tasks_and_everything_are_paused_and_resumed(visited: Visited) -> None:
    what: Any
    for what, named in (({"queue": "mail"}, "queue mail"), ({"everything": "1"}, "everything")):
        assert said(visited, visited.post("queues/pause", **what)).startswith(f"Paused: {named}.")
        assert said(visited, visited.post("queues/resume", **what)) == f"Resumed: {named}."
        assert said(visited, visited.post("queues/resume", **what)) == f"Not paused any more: {named}."
    assert "it is not known here" in said(visited, visited.post("queues/pause", task="acted:mial", page="tasks"))
    assert "Expected queue=" in said(visited, visited.post("queues/resume"))
    assert visited.post("queues/pause", task="a\0b").status_code == 400
    done = [(what, named) for named in ("queue mail", "everything") for what in ("pause", "resume")]
    assert written(visited) == [("ada", *each) for each in done]


def test_a_schedule_is_run_now(visit: Visit) -> None:
    schedule("0 9 * * *", name="acted morning")(report)
    schedule(every=900, name="acted often")(report)
    visited = visit(authorize=lambda: Visitor("ada", "act"))
    assert ">every 900 s<" in visited.get("schedules").text
    answer = visited.post("schedules/run", name="acted morning")
    assert "its next moment comes all the same" in said(visited, answer)
    (job,) = visited.durable.blocking.jobs.list(task="acted:report")
    assert answer.headers["location"] == f"/postlude/jobs/{job.id}"
    assert "no schedule named" in said(visited, visited.post("schedules/run", name="acted mourning"))
    assert written(visited) == [("ada", "run", "schedule acted morning")]
