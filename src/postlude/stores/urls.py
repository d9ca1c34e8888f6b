"""What a URL says of a store: which kind it is, or what is wrong with it. Knows no driver: it may not be installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

PREFIX: Final = "sqlite:///"
"""What stands before the path of a SQLite file."""

_FILE: Final = "sqlite:///relative/jobs.db with three slashes, or sqlite:////absolute/jobs.db with four"
_DATABASE: Final = "postgresql://user@host:5432/database"
_LAST_PORT: Final = 65_535
_POSTGRES: Final = re.compile(r"(postgres|postgresql)(\+\w+)?", re.IGNORECASE)


def is_postgres(url: object) -> bool:
    """Whether it means PostgreSQL, in one of the forms that are in use: `postgres:`, `postgresql+asyncpg:`."""
    return isinstance(url, str) and _POSTGRES.fullmatch(url.partition(":")[0]) is not None


def parts_of(url: str) -> SplitResult:
    """Those of the URL of a PostgreSQL database, whatever driver it names: `+psycopg_async` is no scheme to `urlsplit`.

    Raises:
        ValueError: it makes no sense.
    """
    return urlsplit(f"postgresql:{url.partition(':')[2]}")


def place_of(url: str) -> str:
    """What tells a store from others, without who reads it and by which password."""
    return _without_password(url) if is_postgres(url) else str(Path(url.removeprefix(PREFIX)).resolve())


def problem_of(url: object) -> str:
    """What is wrong with a URL, and its cure; empty if nothing is."""
    if not isinstance(url, str):
        return f"expected {_FILE}, or {_DATABASE}; got {url!r}"
    if not is_postgres(url) and _as_sqlite(url) is not None:
        return _problem_of_file(url, re.sub(r"(?<=://)[^/]*@", "***@", url))
    shown = _without_password(url)
    return _problem_of_database(url, shown) if is_postgres(url) else f"expected {_FILE}, or {_DATABASE}; got {shown!r}"


def problem_of_direct(url: object) -> str:
    """What is wrong with a URL of the way beside a pooler, and its cure; empty if nothing is."""
    return problem_of(url) if is_postgres(url) else f"expected {_DATABASE}; got {_without_password(str(url))!r}"


def _without_password(url: str) -> str:
    # It must not come into a log, wherever it stands in what may be anything.
    return re.sub(r":(//)?.*@", r":\1***@", re.sub(r"(password=)[^&\s]*", r"\1***", url, flags=re.IGNORECASE))


def _problem_of_database(url: str, shown: str) -> str:
    if not url.partition(":")[2].startswith("//"):
        return f"expected {_DATABASE}; got {shown!r}"
    if not _is_sound(url):
        return (
            f"expected {_DATABASE}; got {shown!r}, in which the host or the port makes no sense. If the password has a "
            "character like @ : / ? # or %, write that as %40 and so on (urllib.parse.quote(password, safe='')), or "
            "give it as POSTLUDE_PASSWORD"
        )
    return ""


def _is_sound(url: str) -> bool:
    """Whether each of its hosts, divided by commas, has a port that is a number, or none, and nothing comes twice."""
    try:
        parts = parts_of(url)
    except ValueError:  # a bracket that could begin an IPv6 address
        return False
    user, _, hosts = parts.netloc.rpartition("@")
    found = [re.fullmatch(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::(\d+))?", host) for host in hosts.split(",")]
    query = parse_qsl(parts.query, keep_blank_values=True)
    ports = [one and (one[1] or "0") for one in found] + [value for name, value in query if name == "port"]
    # What stands behind a / or a ? of a password would be taken for the database and its settings.
    shifted = any("@" in part for part in (user, parts.path, *(name for name, _ in query)))
    return all(map(_is_port, ports)) and not shifted and not parts.fragment


def _is_port(text: str | None) -> bool:
    return text is not None and all(one.isdecimal() and int(one) <= _LAST_PORT for one in text.split(","))


def _problem_of_file(url: str, shown: str) -> str:
    sqlite = _as_sqlite(url) or ""
    if sqlite == PREFIX or ":memory:" in sqlite or "mode=memory" in sqlite:
        return (
            f"expected a file, got {shown!r}, which is kept in memory, where nothing would survive: write {_FILE}; "
            'in a test, a file in a temporary folder, such as f"sqlite:///{tmp_path}/jobs.db"'
        )
    return "" if url == sqlite else f"expected {_FILE}; got {shown!r}: did you mean {sqlite!r}?"


def _as_sqlite(url: str) -> str | None:
    """The URL of the SQLite file that somebody may mean: without SQLAlchemy's driver, with all slashes."""
    scheme, separator, rest = url.partition(":")
    if re.fullmatch(r"sqlite(\+\w+)?", scheme, re.IGNORECASE) and separator:
        path = rest.removeprefix("//")
        return f"sqlite://{path}" if rest != path and path.startswith("/") else f"{PREFIX}{path}"
    # What has a double slash or an @ is the URL of a server, however it is misspelt, and may have a password.
    looks_like_a_path = not re.search(r"//|@|password=", url) and re.search(r"[./]|:memory:", url)
    return f"{PREFIX}{url}" if looks_like_a_path else None
