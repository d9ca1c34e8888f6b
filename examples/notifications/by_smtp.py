"""Mail through an SMTP server, over connections that are kept for the next message."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any
from urllib.parse import SplitResult, unquote

from aiosmtplib import SMTP, SMTPException, SMTPRecipientRefused, SMTPResponseException

from notifications.sending import MOST_WORDS, Answer, Answers, Verdict

CONNECTIONS = 10
"""At most so many at a time from this process; servers count them."""


class SMTPSender:
    """Through the server that the URL names, with TLS if it has any; a password is never sent without."""

    def __init__(self, url: SplitResult) -> None:
        self._options: dict[str, Any] = {"hostname": url.hostname, "port": url.port, "use_tls": url.scheme == "smtps"}
        if url.username is not None:
            self._options |= {"username": unquote(url.username), "password": unquote(url.password or "")}
            self._options["start_tls"] = True if url.scheme == "smtp" else None
        self._idle: list[SMTP] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)

    async def send(
        self,
        message: EmailMessage,
        recipients: Sequence[str],
        *,
        key: str,  # noqa: ARG002 - SMTP knows none; people know a repeat by its Message-ID
        before_data: Callable[[], Awaitable[None]],
    ) -> Answers:
        content = message.as_bytes()
        answers: Answers = {}
        rest = Answer("later", "")
        lost: Verdict = "later"
        try:
            async with self._connection() as client:
                size = [f"size={len(content)}"] if client.supports_extension("size") else []
                await client.mail(message["From"].addresses[0].addr_spec, options=size)
                for each in recipients:
                    try:
                        await client.rcpt(each)
                    except SMTPRecipientRefused as refusal:
                        answers[each] = _answer(refusal.code, refusal.message)
                if len(answers) < len(recipients):
                    await before_data()
                    lost = "unknown"
                    rest = _answer(*await client.data(content))
        except SMTPResponseException as refusal:  # with a code below 0 what was said is no answer at all
            rest = Answer(lost, refusal.message) if refusal.code < 0 else _answer(refusal.code, refusal.message)
        except (SMTPException, OSError) as error:
            rest = Answer(lost, f"{self._options['hostname']}: {error or type(error).__name__}")
        return {each: answers.get(each, rest) for each in recipients}

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[SMTP]:
        """One that answers; kept for the next message, unless something went wrong on it."""
        async with self._slots:
            client = await self._kept() or await self._opened()
            try:
                yield client
            except BaseException:
                client.close()
                raise
            self._idle.append(client)

    async def _kept(self) -> SMTP | None:
        while self._idle:
            client = self._idle.pop()
            try:
                await client.rset()
            except (SMTPException, OSError):  # the server has ended it meanwhile, as it may
                client.close()
            else:
                return client
        return None

    async def _opened(self) -> SMTP:
        client = SMTP(**self._options)
        try:
            await client.connect()
        except SMTPResponseException as refusal:  # said to us, and not of this message: a wrong password is mended
            client.close()
            message = f"it does not let us in: {refusal.code} {refusal.message}"
            raise ConnectionError(message) from refusal
        return client

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _answer(code: int, words: str) -> Answer:
    """RFC 5321, section 4.2.1: 2.. has been done, 4.. may be done later, 5.. will not be done."""
    said = f"{code} {words[:MOST_WORDS]}"
    if code < 400:
        return Answer("accepted", said)
    return Answer("later" if code < 500 else "refused", said)
