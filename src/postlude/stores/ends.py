"""Both ends of a move: the store that jobs leave, and the one to which they go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from postlude.errors import SettingsError
from postlude.stores import open_store, store_of
from postlude.stores.sqlite import SQLiteStore
from postlude.stores.urls import PREFIX

if TYPE_CHECKING:
    from postlude.settings import Settings
    from postlude.stores.moving import StoreWithDestination, StoreWithSource


def open_ends(source: str, destination: Settings) -> tuple[StoreWithSource, StoreWithDestination]:
    """The stores that two URLs name, not opened yet.

    Args:
        source: `sqlite:///…`, of a file that is there.
        destination: the settings of an application whose jobs are kept there.

    Raises:
        SettingsError: one of them cannot be an end of a move.
    """
    if not source.startswith(PREFIX):
        scheme = source.partition(":")[0]  # there may be a password in the rest
        message = f"SOURCE: expected sqlite:///jobs.db, since jobs are moved away from a file; got {scheme}:…"
        raise SettingsError([message])
    open_store(source)  # which opens nothing, and says what is wrong with a URL
    path = Path(source.removeprefix(PREFIX)).absolute()
    if not path.is_file():
        raise SettingsError([f"SOURCE: there is no file {path}, so nothing to move"])
    store = store_of(destination)
    if destination.url.startswith(PREFIX) and Path(destination.url.removeprefix(PREFIX)).resolve() == path.resolve():
        raise SettingsError(["DESTINATION: it is the same file as SOURCE"])
    # Jobs can be moved to every store there is; only the engine has no business with that.
    return SQLiteStore(str(path), leaving=True), cast("StoreWithDestination", store)
