"""Where jobs are kept: the contract that every store fulfils, and one driver for each database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postlude.errors import SettingsError
from postlude.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from postlude.stores.contract import Store

__all__ = ["open_store"]


def open_store(url: str) -> Store:
    """The store that `url` names, not opened yet: nothing touches the disk before `open()`.

    Args:
        url: `sqlite:///relative/path`, `sqlite:////absolute/path`.

    Raises:
        SettingsError: the URL names no store that this release knows.
    """
    scheme, separator, path = url.partition("://")
    if scheme == "sqlite" and separator and path.startswith("/") and path != "/":
        return SQLiteStore(path.removeprefix("/"))
    raise SettingsError([f"url: expected sqlite:///path/to/jobs.db, got {url!r}"])
