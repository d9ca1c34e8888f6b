"""A report from its question to its end: its progress, its key, its limits, its cancellation, and its files."""

import os
import time
from pathlib import Path
from typing import Any

from reports.main import durable
from tests.engine.elsewhere_tasks import niceness
from tests.reports.conftest import LONG, Service, many_parts
from tests.scenarios.waiting import wait_until

SMALL = b"shop,amount\nnorth,1\nsouth,5\nnorth,2\n"
SENTENCE = "south has the highest total amount: 5. north has the lowest: 3."
BY_SHOP: dict[str, Any] = {"measures": [{"what": "sum", "of": "amount"}], "group_by": ["shop"]}


def test_202_and_where_to_look(service: Service) -> None:
    asked = service.send(BY_SHOP, SMALL, "sales.csv")
    assert asked.status_code == 202
    assert asked.headers["location"] == f"/reports/{asked.json()['id']}"
    answer = service.answer(asked)
    events = service.client.get(asked.json()["links"]["events"]).text
    assert "event: end" in events
    assert answer["sentence"] == SENTENCE
    assert [(group["names"], group["values"]) for group in answer["groups"]] == [(["south"], [5]), (["north"], [3])]
    assert answer["data"] == "sales.csv"


def test_a_report_lowers_the_priority_of_no_other_task(service: Service) -> None:
    service.answer(service.send(BY_SHOP, SMALL + b"south,2\n"))
    beside = durable.blocking.enqueue(niceness)
    assert durable.blocking.jobs.wait(beside.id, timeout=LONG).result == os.getpriority(os.PRIO_PROCESS, 0)


def test_an_upload_is_removed_behind_its_report(service: Service) -> None:
    asked = service.send(BY_SHOP, SMALL + b"east,1\n")
    assert service.uploads() <= {asked.json()["id"]}
    service.answer(asked)
    service.no_uploads()


def test_the_same_question_of_the_same_data_is_one_job(service: Service) -> None:
    """While it runs and for a day; its own upload of each is removed."""
    first, second = (service.send(BY_SHOP, SMALL + b"west,1\n") for _ in range(2))
    assert first.json()["id"] != second.json()["id"]
    assert service.ended(first)["id"] == service.ended(second)["id"] == first.json()["id"]
    third = service.send(BY_SHOP, SMALL + b"west,1\n", "another name.csv")
    assert service.status(third)["id"] == first.json()["id"]
    service.no_uploads()
    other_data = service.send(BY_SHOP, SMALL + b"west,2\n")
    other_question = service.send({**BY_SHOP, "top": 1}, SMALL + b"west,1\n")
    ids = {service.ended(asked)["id"] for asked in (first, other_data, other_question)}
    assert len(ids) == 3
    service.no_uploads()


def test_progress_is_duckdbs_own_and_cancelling_stops_it_at_once(service: Service) -> None:
    """A report of 600 million rows, whose first percents are enough."""
    asked = service.ask(BY_SHOP, many_parts(service.data, "huge", 600))
    assert asked.status_code == 202, asked.text
    seen: list[float] = []

    def moved() -> bool:
        status = service.status(asked)
        assert status["state"] in {"staged", "queued", "running"}, status
        percent = status["percent"]
        if percent is not None and percent > max(seen, default=0):
            seen.append(percent)
        return len(seen) >= 2

    wait_until(moved, "the progress moves", seconds=LONG)
    assert 0 < seen[0] < seen[1] < 100
    began = time.monotonic()
    assert service.client.post(service.status(asked)["links"]["cancel"]).status_code == 200
    status = service.ended(asked)
    assert time.monotonic() - began < 10
    assert (status["state"], status["problem"]) == ("cancelled", "The report was cancelled.")
    assert service.client.post(status["links"]["cancel"]).status_code == 409
    assert "The report was cancelled." in service.client.get(status["links"]["page"]).text


def test_the_upload_of_a_cancelled_report_is_removed_by_the_schedule(service: Service) -> None:
    durable.blocking.jobs.pause(task="make-report")
    try:
        asked = service.send(BY_SHOP, SMALL + b"far,1\n")
        assert service.uploads() == {asked.json()["id"]}
        assert service.client.get(service.status(asked)["links"]["answer.csv"]).status_code == 409
        service.client.post(service.status(asked)["links"]["cancel"])
    finally:
        durable.blocking.jobs.resume(task="make-report")
    service.ended(asked)
    (service.storage / "not-ours.txt").touch()
    try:
        service.remove_leftovers({"not-ours.txt"})
    finally:
        (service.storage / "not-ours.txt").unlink()


def test_a_browser_is_led_to_the_page(service: Service) -> None:
    fields = {"what": "sum", "of": "amount", "group_by": "shop", "by": "month", "number": "", "title": "Who sells?"}
    asked = service.client.post(
        "/reports",
        data=fields,
        files={"file": ("s.csv", SMALL)},
        headers={"accept": "text/html"},
        follow_redirects=False,
    )
    assert asked.status_code == 303
    page = wait_until(lambda: _page(service, asked.headers["location"]), "the answer is there", seconds=LONG)
    assert "<h1>Who sells?</h1>" in page
    assert f'<p class="answer">{SENTENCE}</p>' in page
    assert "<svg" in page


def _page(service: Service, path: str) -> str:
    text = service.client.get(path).text
    return "" if "under way" in text else text


def test_what_a_file_says_is_no_markup_and_no_formula(service: Service) -> None:
    hostile = b'shop,amount\n"<script>alert(1)</script>",3\n"=cmd|\' /C calc\'!A0",2\n'
    asked = service.send({**BY_SHOP, "title": "<b>Who</b>"}, hostile)
    status = service.ended(asked)
    page = service.client.get(status["links"]["page"])
    assert "<script>alert" not in page.text
    assert "<b>" not in page.text
    assert "script-src 'nonce-" in page.headers["content-security-policy"]
    assert "\"'=cmd|" in service.client.get(status["links"]["answer.csv"]).text.replace("\n'", "\n\"'")


def test_a_folder_of_files_is_one_table(service: Service, data: Path) -> None:
    whole = service.answer(service.ask({"measures": [{"what": "count"}]}, many_parts(data, "three", 3)))
    assert whole["rows"] == 3_000_000


def test_counts_are_whole_numbers_in_csv(service: Service) -> None:
    question = {"measures": [{"what": "count"}, {"what": "mean", "of": "amount"}], "group_by": ["shop"]}
    status = service.ended(service.send(question, SMALL))
    text = service.client.get(status["links"]["answer.csv"]).text
    assert text == "shop,number of rows,average amount\nnorth,2,1.5\nsouth,1,5.0\n"
