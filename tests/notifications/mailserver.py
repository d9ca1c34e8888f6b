"""A real SMTP server in a thread, which can be told to answer badly."""

import asyncio
import ssl
import threading
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

TLS: Final = Path(__file__).parent / "tls"
CERTIFICATE: Final = str(TLS / "cert.pem")
"""Of `localhost` and 127.0.0.1, signed by itself. It has a hundred years."""


class Received(NamedTuple):
    sender: str
    recipients: list[str]
    message: EmailMessage

    @property
    def id(self) -> str:
        return str(self.message["Message-ID"])


class MailServer:
    """Takes what comes, unless it was told otherwise.

    Args:
        over_tls: from the first byte.
        options: of `aiosmtpd.smtp.SMTP`.
    """

    def __init__(self, *, over_tls: bool = False, **options: Any) -> None:
        self._tls = tls() if over_tls else None
        self.options = options
        self.port = 0
        self.received: list[Received] = []
        self.connections = 0
        self.passwords: list[bytes] = []
        """Every one that it was shown."""
        self.of_recipients: dict[str, list[str]] = {}
        """What it says to each next RCPT of an address, before it takes it."""
        self.of_data: list[str] = []
        """What it says at the end of each next message, before it takes one."""
        self.drops = 0
        """So many times it hangs up in the middle of the next messages."""
        self.silent = False
        """Whether it takes messages and never says so."""
        self.babbles = False
        """Whether it says so in words that are no answer of SMTP."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._conversations: list[_Conversation] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> None:
        """Listen, on the same port as before."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def shut(self) -> None:
        """Be gone, with all connections, as if killed."""
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()

    async def _open(self) -> None:
        self._server = await self._loop.create_server(self._converse, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._conversations:
            each.hang_up()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)

    def _converse(self) -> SMTP:
        self.connections += 1
        self._conversations.append(_Conversation(self, loop=self._loop, **self.options))
        return self._conversations[-1]

    # What aiosmtpd asks a handler

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.of_recipients.get(address):
            return self.of_recipients[address].pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.of_data:
            return self.of_data.pop(0)
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        self.received.append(Received(str(envelope.mail_from), list(envelope.rcpt_tos), message))
        if self.babbles:
            return "ok, taken"
        if self.silent:
            await asyncio.Event().wait()  # until the connection is lost
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.passwords.append(data.password)
        return AuthResult(success=data == LoginPassword(b"shop", b"s3cr@t"), handled=False)


class _Conversation(SMTP):
    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        server: MailServer = self.event_handler
        if not server.drops:
            await super().smtp_DATA(arg)
            return
        server.drops -= 1
        await self.push("354 go on")
        await self._reader.readline()
        self.hang_up()

    def hang_up(self) -> None:
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


def tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, TLS / "key.pem")
    return context
