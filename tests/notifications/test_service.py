"""The mail service as its callers meet it: a real server process, and a real mail server behind it."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.notifications.mailserver import MailServer
from tests.scenarios.look import Look
from tests.scenarios.server import ROOT, Answer, Server, uvicorn
from tests.scenarios.waiting import let_pass, wait_until

COMMAND = uvicorn("notifications.main:app", "--app-dir", str(ROOT / "examples"))
MAIL = {"to": "ada@example.com", "name": "Ada", "template": "welcome", "values": {"message": "Good evening."}}
KEY = "a long random one"
MAILS = 500


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Server]:
    """As it is started without any setting: mail goes into a folder."""
    with Server(tmp_path, COMMAND) as server:
        yield server.start()


def ask(server: Server, mail: object, *, key: str = "") -> Answer:
    connection = server.connect()
    try:
        body = mail if isinstance(mail, bytes) else json.dumps(mail)
        connection.request("POST", "/notifications", body, {"Content-Type": "application/json", "X-API-Key": key})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read().decode())
    finally:
        connection.close()


def acknowledged(server: Server) -> list[list[str]]:
    """The words of each line."""
    path = server.folder / "acknowledged.txt"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def test_a_mail_goes_into_the_outbox_and_is_acknowledged_once_in_each_period(service: Server) -> None:
    first, second = ask(service, MAIL | {"period": "2026-06"}), ask(service, MAIL | {"period": "2026-06"})
    third = ask(service, MAIL | {"period": "2026-07"})
    assert [first.status, second.status, third.status] == [202] * 3
    wait_until(lambda: len(acknowledged(service)) == 2, "both are acknowledged")
    ids = [json.loads(answer.body)["id"] for answer in (first, third)]
    lines = sorted(line[1:] for line in acknowledged(service))
    assert lines == [[each, "ada@example.com", "welcome"] for each in ids]
    assert sorted(path.stem for path in (service.folder / "outbox").glob("*")) == ids
    mail = message_from_bytes((service.folder / "outbox" / f"{ids[0]}.eml").read_bytes(), policy=default)
    assert mail["Message-ID"] == f"<{ids[0]}@example.com>"
    assert f'<a href="outbox/{ids[0]}">Welcome, Ada</a>' in service.get("/outbox").body
    assert "Good evening." in service.get(f"/outbox/{ids[0]}").body
    assert json.loads(service.get(first.headers["location"]).body)["state"] == "succeeded"
    # The second request has an id of its own, which leads to the job that answers for it.
    told = json.loads(service.get(f"{second.headers['location']}/result").body)
    assert told["message_id"] == mail["Message-ID"]
    assert list(told["accepted"]) == ["ada@example.com"]


def test_what_is_wrong_with_a_mail_is_told_at_once(service: Server) -> None:
    for mail, status, words in [
        (MAIL | {"template": "welcom"}, 422, "expected one of receipt, welcome"),
        (MAIL | {"values": {}}, 422, "'message' is undefined"),
        (MAIL | {"tos": "x"}, 422, "Extra inputs are not permitted"),
        (MAIL | {"to": "ada@example.com\r\nBcc: eve@example.com"}, 422, "invalid characters"),
        (MAIL | {"values": {"message": "x" * 1_000_000}}, 413, "at most 1,000,000 bytes"),
    ]:
        answer = ask(service, mail)
        assert (answer.status, words in answer.body) == (status, True), answer.body
    assert not (service.folder / "outbox").exists()


def test_an_upload_is_refused_while_it_arrives(service: Server) -> None:
    """One that never ends is answered, too."""
    connection = service.connect()
    connection.putrequest("POST", "/notifications")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    chunk = b"x" * 100_000
    for _ in range(11):
        connection.send(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    assert connection.getresponse().status == 413
    connection.close()


def test_a_service_without_a_key_does_not_start_where_it_would_mail_the_world(tmp_path: Path) -> None:
    with Server(tmp_path, COMMAND, {"MAIL_URL": "smtp://127.0.0.1:25"}) as server:
        assert server.launch().wait() == 1
        assert server.says("MAIL_API_KEY: mail goes to the world")


def test_where_mail_goes_to_the_world_callers_show_a_key_and_recipients_have_a_rate(tmp_path: Path) -> None:
    with MailServer() as mails:
        env = {"MAIL_URL": f"smtp://127.0.0.1:{mails.port}", "MAIL_API_KEY": KEY, "MAIL_RECIPIENT_RATE": "2/h"}
        with Server(tmp_path, COMMAND, env) as server:
            server.start()
            assert [ask(server, MAIL).status, ask(server, MAIL, key="a guess").status] == [401, 401]
            assert server.get("/outbox").status == 404
            for _ in range(3):
                taken = ask(server, MAIL, key=KEY)
                assert (taken.status, server.get(taken.headers["location"]).status) == (202, 401)
            for mail in ({"cc": ["ada@example.com"]}, {}):
                assert ask(server, MAIL | {"to": "grace@example.com"} | mail, key=KEY).status == 202
            wait_until(lambda: len(acknowledged(server)) == 3, "all are acknowledged but two, one of them a copy")
            assert Counter(to for mail in mails.received for to in mail.recipients) == {
                "ada@example.com": 2,
                "grace@example.com": 1,
            }


@pytest.mark.parametrize("interrupted", ["rerun", "hold"])
def test_a_mail_of_which_nobody_knows_is_repeated_or_held(tmp_path: Path, interrupted: str) -> None:
    """The mail server has it, and the service is killed before it hears that."""
    with MailServer() as mails:
        env = {"MAIL_URL": f"smtp://127.0.0.1:{mails.port}", "MAIL_API_KEY": KEY, "MAIL_INTERRUPTED": interrupted}
        with Server(tmp_path, COMMAND, env) as server:
            server.start()
            mails.silent = True
            job_id = json.loads(ask(server, MAIL, key=KEY).body)["id"]
            wait_until(lambda: mails.received, "the mail server has it")
            server.kill()
            mails.silent = False
            server.start()
            if interrupted == "rerun":
                wait_until(lambda: acknowledged(server), "it is acknowledged")
                assert [mail.id for mail in mails.received] == [f"<{job_id}@example.com>"] * 2
                assert len(acknowledged(server)) == 1
            else:
                with Look.into(server) as look:
                    (held,) = wait_until(lambda: [job for job in look.jobs() if job.state == "failed"], "it is held")
                assert f"look for Message-ID {job_id}" in str(held.error)
                assert (len(mails.received), acknowledged(server)) == (1, [])


DYING = uvicorn("tests.notifications.dying:app", "--app-dir", str(ROOT / "examples"))


@pytest.mark.parametrize("interrupted", ["rerun", "hold"])
def test_whenever_the_service_dies_it_is_sent_as_often_as_was_promised(tmp_path: Path, interrupted: str) -> None:
    """Killed at each of the points between which something is saved, and again where the mails are about to be held.

    The first service dies with one mail right before its mark is saved, one right after that, and one that the mail
    server has accepted and that is not settled. The second dies before it can write down what it holds.
    """
    with MailServer() as mails:
        env = {"MAIL_URL": f"smtp://127.0.0.1:{mails.port}", "MAIL_API_KEY": KEY, "MAIL_INTERRUPTED": interrupted}
        with Server(tmp_path, DYING, env) as server:
            server.env["DIES"] = "sending"
            server.start()
            points = ("unmarked", "marked", "accepted")
            jobs = {
                point: json.loads(ask(server, MAIL | {"to": f"{point}@example.com"}, key=KEY).body) for point in points
            }
            server.wait()
            assert arrived(mails) == {"accepted": 1}
            if interrupted == "hold":
                server.env["DIES"] = "holding"
                server.launch().wait()
                assert arrived(mails) == {"accepted": 1}
            server.env["DIES"] = ""
            server.start()
            with Look.into(server) as look:
                wait_until(
                    lambda: all(job.state.finished for job in look.jobs() if "send" in job.task), "all is decided"
                )
                states = {str(job.id): job.state for job in look.jobs()}
            if interrupted == "rerun":
                assert arrived(mails) == {"unmarked": 1, "marked": 1, "accepted": 2}
                assert len({mail.id for mail in mails.received}) == 3
                return
            assert arrived(mails) == {"unmarked": 1, "accepted": 1}
            assert [states[jobs[point]["id"]] for point in points] == ["succeeded", "failed", "failed"]
            assert by_hand(server, jobs["marked"]["id"]) == 202
            wait_until(lambda: "marked" in arrived(mails), "what a person wants is sent")
            assert arrived(mails) == {"unmarked": 1, "marked": 1, "accepted": 1}


def arrived(mails: MailServer) -> dict[str, int]:
    return Counter(to.partition("@")[0] for mail in mails.received for to in mail.recipients)


def by_hand(server: Server, job_id: str) -> int:
    connection = server.connect()
    connection.request("POST", f"/jobs/{job_id}/retry", headers={"X-API-Key": KEY})
    status = connection.getresponse().status
    connection.close()
    return status


class Caller(threading.Thread):
    """Asks for its share of the mails, each as often as it takes to get an answer."""

    def __init__(self, server: Server, numbers: range) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.numbers = numbers
        self.unanswered = 0

    def run(self) -> None:
        for number in self.numbers:
            mail = MAIL | {"to": f"reader-{number}@example.com", "period": "launch"}
            wait_until(lambda mail=mail: self._answered(mail), f"mail {number} is taken", seconds=60)  # type: ignore[misc]

    def _answered(self, mail: dict[str, Any]) -> bool:
        try:
            return ask(self.server, mail, key=KEY).status == 202
        except (OSError, HTTPException):
            self.unanswered += 1
            let_pass(0.2)  # as a caller would; a busy one would only keep the server from starting
            return False


def test_500_mails_arrive_although_the_server_is_killed_among_them(tmp_path: Path) -> None:
    with MailServer() as mails:
        env = {"MAIL_URL": f"smtp://127.0.0.1:{mails.port}", "MAIL_API_KEY": KEY, "MAIL_DOMAIN_RATE": "100000/min"}
        with Server(tmp_path, COMMAND, env) as server:
            server.start()
            callers = [Caller(server, range(first, MAILS, 8)) for first in range(8)]
            for each in callers:
                each.start()
            wait_until(lambda: len(mails.received) > MAILS / 4, "a quarter of them has arrived", seconds=40)
            server.kill()
            before = len(mails.received)
            server.start()
            for each in callers:
                each.join(60)
            wait_until(lambda: len(acknowledged(server)) >= MAILS, "all are acknowledged", seconds=60)
    ids = {(mail.recipients[0], mail.id) for mail in mails.received}
    readers = [f"reader-{number}@example.com" for number in range(MAILS)]
    assert sorted(reader for reader, _ in ids) == sorted(readers)  # each has one id, however often it came
    assert len({mail for _, mail in ids}) == MAILS
    assert Counter(line[2] for line in acknowledged(server)) == Counter(readers)
    assert {f"<{line[1]}@example.com>" for line in acknowledged(server)} == {mail for _, mail in ids}
    twice = len(mails.received) - MAILS
    unanswered = sum(each.unanswered for each in callers)
    print(f"{MAILS} mails, killed after {before}; {twice} came twice; unanswered requests: {unanswered}")
