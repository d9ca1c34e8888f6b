"""What `sslmode` and its like in the URL come to, on TCP: a front before the server that speaks TLS, or refuses to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import certifi
import pytest

from postlude.errors import StoreUnavailable
from postlude.stores import open_store

CERTIFICATE = Path(__file__).parents[1] / "notifications" / "tls" / "cert.pem"
"""For `localhost`; signed by itself."""
WANTS_TLS = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""What a client of PostgreSQL sends first, if it wants TLS."""


class Front:
    """Takes TCP connections, in plain text or by TLS, and carries them on to the Unix socket of a server."""

    def __init__(self, socket: str, *, tls: bool) -> None:
        self.socket = socket
        self.tls = tls
        self.began: list[bool] = []
        """Of each connection that was let in: whether by TLS."""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        if first == WANTS_TLS:
            writer.write(b"S" if self.tls else b"N")
            if self.tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
                await writer.start_tls(context)
            first = await reader.readexactly(8)
            self.began.append(self.tls)
        else:
            self.began.append(False)
        inner_reader, inner_writer = await asyncio.open_unix_connection(self.socket)
        inner_writer.write(first)
        async with asyncio.TaskGroup() as both:
            both.create_task(_carry(reader, inner_writer))
            both.create_task(_carry(inner_reader, writer))

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The same; whoever ends a connection without a word is nobody's mistake here."""
        with suppress(OSError, EOFError):
            try:
                await self.take(reader, writer)
            finally:
                await _end(writer)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    await _end(writer)


async def _end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.fixture
async def front(request: pytest.FixtureRequest, postgres: str) -> AsyncIterator[tuple[Front, str]]:
    """A front, and the URL that leads through it."""
    folder = parse_qs(urlsplit(postgres).query)["host"][0]
    made = Front(f"{folder}/.s.PGSQL.5432", tls=request.param)
    server = await asyncio.start_server(made.taken, "localhost", 0, family=2)
    async with server:
        yield made, f"postgresql://postlude@localhost:{server.sockets[0].getsockname()[1]}/postgres"


async def opened(url: str) -> None:
    """With its direct connection, too."""
    store = open_store(url)
    await store.open()
    await store.dismiss(await store.enlist())
    await store.close()


async def refused(url: str, why: str) -> None:
    with pytest.raises(StoreUnavailable, match=why):
        await opened(url)


with_tls = pytest.mark.parametrize("front", [True], indirect=True, ids=["tls"])
without_tls = pytest.mark.parametrize("front", [False], indirect=True, ids=["plain"])


@with_tls
@pytest.mark.parametrize(
    "query",
    [
        "",
        "sslmode=prefer",
        "sslmode=require",
        "ssl=require",
        "ssl=true",
        f"sslmode=verify-full&sslrootcert={CERTIFICATE}",
    ],
    ids=["nothing", "prefer", "require", "ssl=require", "ssl=true", "verify-full"],
)
async def test_every_connection_is_encrypted(front: tuple[Front, str], query: str) -> None:
    seen, url = front
    await opened(f"{url}?{query}")
    assert len(seen.began) >= 3
    assert all(seen.began)


@with_tls
async def test_none_is_where_that_is_asked_for(front: tuple[Front, str]) -> None:
    seen, url = front
    await opened(f"{url}?sslmode=disable")
    assert seen.began
    assert not any(seen.began)


@with_tls
@pytest.mark.parametrize("mode", ["verify-ca", "verify-full", "require"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(front: tuple[Front, str], mode: str) -> None:
    seen, url = front
    await refused(f"{url}?sslmode={mode}&sslrootcert={certifi.where()}", "CERTIFICATE_VERIFY_FAILED")
    assert not seen.began


@without_tls
@pytest.mark.parametrize("query", ["sslmode=require", "ssl=require", f"sslmode=verify-full&sslrootcert={CERTIFICATE}"])
async def test_what_must_be_encrypted_never_goes_in_plain_text(front: tuple[Front, str], query: str) -> None:
    seen, url = front
    await refused(f"{url}?{query}", "rejected SSL upgrade")
    assert not seen.began
