"""The senders and the task of the mail service, against real servers: what is taken, refused, lost and repeated."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from notifications.by_api import APISender
from notifications.by_folder import FolderSender
from notifications.by_smtp import SMTPSender
from notifications.main import app, durable
from notifications.messages import Mail, compose
from notifications.sending import Sender, sender
from notifications.settings import settings
from notifications.tasks import TWO_DAYS, Delivery, acknowledge, send_mail
from postlude import Job
from postlude.testing import Worker, worker
from tests.notifications.mailserver import CERTIFICATE, MailServer, tls

MAIL = Mail(to="ada@example.com", name="Ada", template="welcome", values={"message": "Good evening."})
MINUTE = 70
"""Of the worker's time: the first wait, with its jitter."""


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", CERTIFICATE)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAIL_INTERRUPTED", "hold")
    settings.cache_clear()
    yield
    settings.cache_clear()


@asynccontextmanager
async def working(by: Sender) -> AsyncIterator[Worker]:
    """The service's tasks, which send by this sender, and a time that the test moves."""
    app.dependency_overrides[sender] = lambda: by
    try:
        async with worker(app) as found:
            yield found
    finally:
        del app.dependency_overrides[sender]
        await by.close()


def to(server: MailServer, *, scheme: str = "smtp", user: str = "") -> SMTPSender:
    return SMTPSender(urlsplit(f"{scheme}://{user}127.0.0.1:{server.port}"))


async def sent(mail: Mail, at: Worker) -> Job[Delivery]:
    """The job of the mail, after its first attempt."""
    job = await durable.enqueue(send_mail, mail)
    await at.run_pending()
    return await job.refresh()


def contents(message: EmailMessage) -> list[list[str]]:
    """The lines of its parts; the wire has line ends of its own."""
    return [part.get_content().splitlines() for part in message.walk() if not part.is_multipart()]


# What is taken


async def test_the_server_gets_what_was_composed_and_connections_are_kept(server: MailServer) -> None:
    dots = MAIL.model_copy(update={"values": {"message": "Dots:\n.\n..\nFrom here on none." + " long" * 300}})
    async with working(to(server)) as at:
        jobs = [await sent(dots, at) for _ in range(3)]
    assert [job.state for job in jobs] == ["succeeded"] * 3
    assert server.connections == 1
    composed = compose(dots, jobs[0].id)
    first = server.received[0]
    assert (first.sender, first.recipients) == ("notifications@example.com", ["ada@example.com"])
    assert {name: str(value) for name, value in first.message.items() if name != "Content-Type"} == {
        name: str(value)
        for name, value in composed.items()
        if name != "Content-Type"  # the boundary is made up
    }
    assert contents(first.message) == contents(composed)
    assert [mail.id for mail in server.received] == [job.result.message_id for job in jobs]


async def test_a_connection_that_the_server_has_ended_meanwhile_is_opened_anew(server: MailServer) -> None:
    async with working(to(server)) as at:
        await sent(MAIL, at)
        server.shut()
        server.open()
        job = await sent(MAIL, at)
    assert (job.state, job.attempts) == ("succeeded", 1)


@pytest.mark.parametrize(("scheme", "over_tls"), [("smtp", False), ("smtps", True)], ids=["STARTTLS", "TLS"])
async def test_a_password_is_shown_over_tls(scheme: str, over_tls: bool) -> None:
    # aiosmtpd does not know that it is behind TLS where that is there from the first byte.
    inside: dict[str, Any] = {"tls_context": tls(), "require_starttls": True, "auth_required": True}
    with MailServer(over_tls=over_tls, **({"auth_require_tls": False} if over_tls else inside)) as server:
        server.options["authenticator"] = server.authenticate
        async with working(to(server, scheme=scheme, user="shop:s3cr%40t@")) as at:
            job = await sent(MAIL, at)
        assert (job.state, server.passwords) == ("succeeded", [b"s3cr@t"])
    assert [mail.id for mail in server.received] == [job.result.message_id]


async def test_a_password_is_not_shown_where_there_is_no_tls(server: MailServer) -> None:
    server.options |= {"authenticator": server.authenticate, "auth_require_tls": False}
    async with working(to(server, user="shop:s3cr%40t@")) as at:
        job = await sent(MAIL, at)
    assert (job.state, server.passwords) == ("queued", [])
    assert job.error is not None
    assert "STARTTLS" in job.error.message


async def test_a_wrong_password_waits_for_whoever_mends_it() -> None:
    with MailServer(auth_require_tls=False, over_tls=True) as server:
        server.options["authenticator"] = server.authenticate
        async with working(to(server, scheme="smtps", user="shop:wrong@")) as at:
            job = await sent(MAIL, at)
    assert job.state == "queued"
    assert job.error is not None
    assert "does not let us in: 535" in job.error.message


async def test_a_domain_has_its_rate_and_others_do_not_wait_for_it(tmp_path: Path) -> None:
    """The default: 60 a minute."""
    many = [MAIL.model_copy(update={"to": f"reader-{number}@example.com"}) for number in range(70)]
    async with working(FolderSender(f"/{tmp_path}/outbox")) as at:
        await durable.enqueue_many(
            send_mail, [(mail,) for mail in [*many, MAIL.model_copy(update={"to": "ada@else.org"})]]
        )
        await at.run_pending()
        assert await durable.jobs.count(state=["queued", "succeeded"]) == {"queued": 10, "succeeded": 61}
        assert (await durable.jobs.list(limit=1))[0].state == "succeeded"
        await at.advance(61)
        assert await durable.jobs.count(state=["queued", "succeeded"]) == {"queued": 0, "succeeded": 71}


# What is refused, for now or for good


@pytest.mark.parametrize("where", ["recipient", "data"])
async def test_what_is_answered_with_450_is_sent_a_minute_later(server: MailServer, where: str) -> None:
    if where == "recipient":
        server.of_recipients["ada@example.com"] = ["450 4.2.0 greylisted"]
    else:
        server.of_data = ["451 4.3.0 later"]
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
        assert (job.state, server.received) == ("queued", [])
        await at.advance(MINUTE)
        await job.refresh()
    assert (job.state, job.attempts) == ("succeeded", 2)
    assert [mail.id for mail in server.received] == [job.result.message_id]


async def test_a_server_that_is_down_for_a_minute_gets_it_when_it_is_back(server: MailServer) -> None:
    server.shut()
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
        assert job.state == "queued"
        server.open()
        await at.advance(MINUTE)
        await job.refresh()
    assert (job.state, len(server.received)) == ("succeeded", 1)


async def test_a_disk_that_is_full_is_no_refusal(tmp_path: Path) -> None:
    (tmp_path / "outbox").touch()  # so that it cannot be a folder
    async with working(FolderSender(f"/{tmp_path}/outbox")) as at:
        job = await sent(MAIL, at)
    assert (job.state, job.attempts) == ("queued", 1)


async def test_it_is_tried_for_two_days(server: MailServer) -> None:
    assert isinstance(TWO_DAYS.retries, int)
    waits = [TWO_DAYS.wait(number, TimeoutError(), 0.5) or 0 for number in range(1, TWO_DAYS.retries + 1)]
    assert 47 * 3600 < sum(waits) < 53 * 3600


async def test_what_is_answered_with_550_fails_at_once_in_the_words_of_the_server(server: MailServer) -> None:
    server.of_recipients["ada@example.com"] = ["550 5.1.1 no such user here"]
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
    assert (job.state, job.attempts) == ("failed", 1)
    assert job.error is not None
    assert job.error.message == "ada@example.com: 550 5.1.1 no such user here"


async def test_a_message_that_is_too_large_for_the_server_is_refused_before_it_is_sent() -> None:
    with MailServer(data_size_limit=500) as server:
        async with working(to(server)) as at:
            job = await sent(MAIL, at)
    assert job.state == "failed"
    assert job.error is not None
    assert "552" in job.error.message


async def test_recipients_are_told_apart(server: MailServer) -> None:
    server.of_recipients = {"grace@example.com": ["550 5.1.1 unknown"], "mary@example.com": ["450 4.2.0 later"]}
    several = MAIL.model_copy(update={"cc": ["grace@example.com", "mary@example.com"]})
    async with working(to(server)) as at:
        job = await sent(several, at)
        assert job.state == "queued"
        await at.advance(MINUTE)
        await job.refresh()
    assert [mail.recipients for mail in server.received] == [["ada@example.com"], ["mary@example.com"]]
    assert len({mail.id for mail in server.received}) == 1
    assert job.result.accepted == {"ada@example.com": "250 taken", "mary@example.com": "250 taken"}
    assert job.result.refused == {"grace@example.com": "550 5.1.1 unknown"}


# What is lost in the middle of DATA


async def test_a_connection_that_is_lost_in_data_is_repeated_under_the_same_id(server: MailServer) -> None:
    server.drops = 1
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
        assert (job.state, job.saved["in_data"]) == ("queued", 1)
        await at.advance(MINUTE)
        await job.refresh()
    assert (job.state, job.attempts) == ("succeeded", 2)
    assert [mail.id for mail in server.received] == [job.result.message_id]


@pytest.mark.usefixtures("held")
async def test_it_is_held_for_a_person_where_that_is_asked_for(server: MailServer) -> None:
    server.drops = 1
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
        await at.advance(MINUTE)
        await job.refresh()
        assert (job.state, server.received) == ("failed", [])
        assert job.error is not None
        assert f"look for Message-ID {job.id}" in job.error.message
        await job.retry()
        await at.run_pending()
        await job.refresh()
    assert job.state == "succeeded"
    assert [mail.id for mail in server.received] == [job.result.message_id]


@pytest.mark.usefixtures("held")
async def test_a_person_is_asked_again_when_it_is_lost_again(server: MailServer) -> None:
    server.drops = 2
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
        await at.advance(MINUTE)
        await job.retry()
        await at.run_pending()  # what the person wanted is lost, too
        await at.advance(5 * MINUTE)
        await job.refresh()
        assert (job.state, job.attempts, server.received) == ("failed", 4, [])
        assert job.error is not None
        assert job.error.type == "notifications.tasks.PerhapsSent"
        await job.retry()
        await at.run_pending()
        await job.refresh()
    assert (job.state, len(server.received)) == ("succeeded", 1)


async def test_an_answer_that_is_none_is_no_acceptance(server: MailServer) -> None:
    server.babbles = True
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
    assert (job.state, job.saved["in_data"], job.saved["accepted"]) == ("queued", 1, {})


@pytest.mark.usefixtures("held")
async def test_what_is_lost_before_data_is_not_held(server: MailServer) -> None:
    server.of_recipients["ada@example.com"] = ["421 4.3.2 closing"]
    async with working(to(server)) as at:
        job = await sent(MAIL, at)
        await at.advance(MINUTE)
        await job.refresh()
    assert (job.state, len(server.received)) == ("succeeded", 1)


# The acknowledgement


async def test_an_acknowledgement_that_is_repeated_after_it_was_written_stays_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "acknowledged.txt").write_text("of somebody else\n")
    synced: list[int] = []

    def fsync(file: int) -> None:
        synced.append(file)
        if len(synced) == 1:
            raise OSError("the disk is gone for a moment")

    monkeypatch.setattr("notifications.tasks.os", SimpleNamespace(fsync=fsync))  # and not that of the store
    async with worker(app) as at:
        for key in ("first", "second", "first"):
            await durable.enqueue(acknowledge, uuid4(), f"{key}@example.com", "welcome", key)
        await at.run_all()
    lines = [line.split() for line in (tmp_path / "acknowledged.txt").read_text().splitlines()]
    assert sorted(line[2] for line in lines) == ["else", "first@example.com", "second@example.com"]
    assert len(synced) == 2


# A mail API


class Requests(ThreadingHTTPServer):
    """A mail API that knows idempotency keys."""

    def __init__(self, answers: list[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.keys: list[str] = []
        self.taken: dict[str, Any] = {}


class _Handler(BaseHTTPRequestHandler):
    server: Requests

    def do_POST(self) -> None:
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Authorization"] == "Bearer t0ken"
        key = self.headers["Idempotency-Key"]
        self.server.keys.append(key)
        status = self.server.answers.pop(0)
        if status == 200:
            self.server.taken.setdefault(key, fields)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"said so")

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


@pytest.fixture
def api() -> Iterator[Callable[..., Requests]]:
    servers: list[Requests] = []

    def serve(*answers: int) -> Requests:
        servers.append(Requests(list(answers)))
        threading.Thread(target=servers[-1].serve_forever, args=[0.01], daemon=True).start()
        return servers[-1]

    yield serve
    for each in servers:
        each.shutdown()
        each.server_close()


def over(api: Requests) -> AbstractAsyncContextManager[Worker]:
    return working(APISender(f"http://127.0.0.1:{api.server_port}/send", "t0ken"))


async def test_an_api_that_is_busy_is_asked_again_with_the_same_key(api: Callable[..., Requests]) -> None:
    requests = api(503, 200)
    async with over(requests) as at:
        job = await sent(MAIL, at)
        await at.advance(MINUTE)
        await job.refresh()
    assert (job.state, requests.keys) == ("succeeded", [str(job.id)] * 2)
    (fields,) = requests.taken.values()
    assert (fields["to"], fields["subject"]) == (["ada@example.com"], "Welcome, Ada")
    assert "Good evening." in fields["text"]
    assert fields["headers"]["Message-ID"] == job.result.message_id
    assert job.result.accepted == {"ada@example.com": "200 said so"}


async def test_an_api_that_refuses_is_not_asked_again(api: Callable[..., Requests]) -> None:
    requests = api(422)
    async with over(requests) as at:
        job = await sent(MAIL, at)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.message == "ada@example.com: 422 said so"


async def test_an_api_that_is_not_there_is_asked_again(api: Callable[..., Requests]) -> None:
    gone = api()
    gone.server_close()
    async with over(gone) as at:
        job = await sent(MAIL, at)
    assert job.state == "queued"
