"""Where the database is: from a URL to what asyncpg is told, and to what people are shown."""

from __future__ import annotations

import inspect
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from postlude.errors import StoreUnavailable
from postlude.stores.urls import parts_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from postlude.settings import Password

_OF_OTHERS: Final = frozenset(
    {
        "async_fallback",
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "pgbouncer",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""What a URL may say to libpq or to SQLAlchemy of how they connect. asyncpg would hand it to the server as a setting,
which the server refuses."""

_FILES: Final = frozenset({"sslcert", "sslcrl", "sslkey", "sslrootcert"})
"""What a URL names that is read here. The library that reads them says only that there is no such file."""
_OWN: Final = frozenset({"sslcert", "sslkey"})
_FILES_OF: Final = {"disable": frozenset[str](), "allow": _OWN, "prefer": _OWN}
"""Those that are read with an `sslmode` that checks nothing of the server's."""


class Location(NamedTuple):
    """How to reach the database, and which tables in it are meant."""

    dsn: str
    """As asyncpg understands it; it may hold a password."""
    schema: str = "postlude"
    namespace: str = "default"
    password: Password | None = None
    """In place of one in the URL; asked for with every new connection if it is a function."""
    direct: str | None = None
    """The way to the database beside a pooler, for the connection whose session has to last; None: `dsn` is one."""

    @property
    def straight(self) -> Location:
        """The same place by its direct way."""
        return self._replace(dsn=self.direct or self.dsn)

    def __repr__(self) -> str:
        return f"Location({self.shown!r}, schema={self.schema!r}, namespace={self.namespace!r})"

    @property
    def shown(self) -> str:
        """For people: without a password."""
        parts = urlsplit(self.dsn)
        host = parts.netloc.rpartition("@")[2]
        user = unquote(parts.username or "")
        # A socket's folder stands there: without it two servers of one machine would look the same.
        folder = "" if host else dict(parse_qsl(parts.query)).get("host", "")
        return f"postgresql://{user and user + '@'}{host}{parts.path}{folder and '?host=' + folder}"

    def options(self) -> dict[str, Any]:
        """What `asyncpg.connect` and `create_pool` are given.

        Raises:
            StoreUnavailable: a file that the URL names cannot be read.
        """
        query = dict(parse_qsl(urlsplit(self.dsn).query))
        for name in _FILES_OF.get(query.get("sslmode", "prefer"), _FILES):
            value = query.get(name)
            if value is not None and not os.access(value, os.R_OK):
                message = f"{self.shown}: {name} in its URL is to be a file that can be read here; got {value!r}"
                raise StoreUnavailable(message)
        # Whoever looks into pg_stat_activity sees which process it is.
        given: dict[str, Any] = {"dsn": self.dsn, "server_settings": {"application_name": f"postlude {os.getpid()}"}}
        if callable(self.password):
            given["password"] = partial(_asked, self.password, self.shown)
        elif self.password is not None:
            given["password"] = self.password
        return given


def dsn_of(url: str) -> str:
    """A URL as asyncpg understands it, from one that was written for others, such as `+psycopg` or `?ssl=`."""
    parts = parts_of(url)
    query = [
        ("sslmode", "require" if value == "true" else value) if name == "ssl" else (name, value)
        for name, value in parse_qsl(parts.query)
        if name not in _OF_OTHERS
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))


async def _asked(ask: Callable[[], str | Awaitable[str]], shown: str) -> str:
    """The password for a new connection.

    Raises:
        StoreUnavailable: there is none, and the next connection may have one.
    """
    try:
        said = ask()
        password = await said if inspect.isawaitable(said) else said
    except Exception as error:
        message = f"{shown}: the function that was given as password= raised {type(error).__name__}: {error}"
        raise StoreUnavailable(message) from error
    if not isinstance(password, str):
        # Whatever it is, it may be the secret itself.
        message = f"{shown}: the function that was given as password= is to return a string, and returned "
        raise StoreUnavailable(message + type(password).__name__)
    return password
