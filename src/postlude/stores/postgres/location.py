"""Where the database is: the forms of a URL, and what is shown of it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FORM: Final = "postgresql://user@host:5432/database"
_SCHEME: Final = re.compile(r"(postgres|postgresql)(\+\w+)?", re.IGNORECASE)


class Location(NamedTuple):
    """How to reach the database, and which tables in it are meant."""

    dsn: str
    """As asyncpg understands it; it may hold a password."""
    schema: str = "postlude"
    namespace: str = "default"
    password: str | Callable[[], str | Awaitable[str]] | None = None
    """In place of one in the URL; asked for with every new connection if it is a function."""

    @property
    def shown(self) -> str:
        """For people: without a password."""
        parts = urlsplit(self.dsn)
        host = parts.netloc.rpartition("@")[2]
        user = unquote(parts.username or "")
        return f"postgresql://{user and user + '@'}{host}{parts.path}"

    def options(self) -> dict[str, Any]:
        """What `asyncpg.connect` and `create_pool` are given."""
        # Whoever looks into pg_stat_activity sees which process it is.
        given: dict[str, Any] = {"dsn": self.dsn, "server_settings": {"application_name": f"postlude {os.getpid()}"}}
        if self.password is not None:
            given["password"] = self.password
        return given


def is_postgres(url: str) -> bool:
    """Whether a URL means PostgreSQL, in one of the forms that are in use."""
    return _SCHEME.fullmatch(url.partition(":")[0]) is not None


def dsn_of(url: str) -> str:
    """The URL without what SQLAlchemy writes into its scheme: `+asyncpg`, `+psycopg`."""
    return "postgresql:" + url.partition(":")[2]
