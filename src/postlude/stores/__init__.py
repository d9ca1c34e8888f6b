"""Where jobs are kept: the contract that every store fulfils, and one driver for each database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from postlude.errors import SettingsError
from postlude.settings import called
from postlude.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from postlude.stores.contract import Store

__all__ = ["open_store"]

_FORMS = "sqlite:///relative/jobs.db with three slashes, or sqlite:////absolute/jobs.db with four"
_PREFIX = "sqlite:///"


def open_store(url: str) -> Store:
    """The store that `url` names, not opened yet: nothing touches the disk before `open()`.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`.

    Raises:
        SettingsError: the URL names no store that this release knows.
    """
    problem = _problem(url)
    if problem:
        raise SettingsError([f"{called('url', url)}: {problem}"])
    return SQLiteStore(url.removeprefix(_PREFIX))


def _problem(url: object) -> str:
    """What is wrong with a URL, and its cure; empty if nothing is."""
    if not isinstance(url, str):
        return f"expected {_FORMS}; got {url!r}"
    shown = re.sub(r"(?<=://)[^/]*@", "***@", url)  # a password must not come into a log
    sqlite = _as_sqlite(url)
    if sqlite is not None and (sqlite == _PREFIX or ":memory:" in sqlite or "mode=memory" in sqlite):
        return (
            f"expected a file, got {shown!r}, which is kept in memory, where nothing would survive: write {_FORMS}; "
            'in a test, a file in a temporary folder, such as f"sqlite:///{tmp_path}/jobs.db"'
        )
    if url == sqlite:
        return ""
    if sqlite is not None:
        return f"expected {_FORMS}; got {shown!r}: did you mean {sqlite!r}?"
    known = url.startswith("postgres")
    return f"expected {_FORMS}; got {shown!r}{': this release keeps jobs in SQLite only' if known else ''}"


def _as_sqlite(url: str) -> str | None:
    """The URL of the SQLite file that somebody may mean: without SQLAlchemy's driver, with all slashes."""
    scheme, separator, rest = url.partition(":")
    if re.fullmatch(r"sqlite(\+\w+)?", scheme, re.IGNORECASE) and separator:
        path = rest.removeprefix("//")
        return f"sqlite://{path}" if rest != path and path.startswith("/") else f"{_PREFIX}{path}"
    looks_like_a_path = "://" not in url and re.search(r"[./]|:memory:", url)
    return f"{_PREFIX}{url}" if looks_like_a_path else None
