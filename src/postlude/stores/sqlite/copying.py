"""A copy of the file as it is at one moment, made while applications use it.

SQLite's own backup reads under one transaction here: what is written meanwhile is not in the copy, and nobody who
writes waits for it. The log that they write to is not folded into the file before the copy is there, and grows by that.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

import apsw

from postlude.ids import new_token
from postlude.stores.sqlite import location
from postlude.stores.sqlite.connection import connect, disconnect
from postlude.stores.sqlite.statements import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAGES: Final = 1_000
"""That are copied at a time, between two tellings of how far it is."""


class CopyDamaged(Exception):
    """The copy does not hold together; the message is what SQLite says of it."""


def copy_file(path: Path, target: Path, told: Callable[[int, int], None]) -> int:
    """Copy a store; returns how many jobs are in the copy.

    The copy takes its name only when it is whole, checked and on disk: what is cut off leaves the target as it was.

    Args:
        path: of the file.
        target: of the copy; what is there is replaced.
        told: called with the pages that are copied, and with how many there are.

    Raises:
        apsw.Error, OSError: it cannot be read, or not be written.
        CopyDamaged: it was written, and does not hold together.
        PostludeError: the file is no store, or is of a later release.
    """
    part = target.with_name(f".{target.name}.{new_token():x}.part")
    # By hand, so that it is private from its first moment on.
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with _opened(path) as source:
            jobs = _copy(source, part, told)
        for each in _beside(target):  # which SQLite would take for what was committed to the copy
            each.unlink(missing_ok=True)
        part.replace(target)
    except BaseException:
        for each in (part, *_beside(part)):
            each.unlink(missing_ok=True)
        raise
    location.sync_folder(target.parent)
    return jobs


def _beside(path: Path) -> tuple[Path, ...]:
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    key = location.opened(path)
    try:
        connection = connect(path, vfs=None, read_only=True)
        try:
            yield connection
        finally:
            disconnect(connection)
    finally:
        location.closed(key)


def _copy(source: apsw.Connection, part: Path, told: Callable[[int, int], None]) -> int:
    copy = apsw.Connection(str(part), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        with source:  # one transaction: without it the copy would begin anew whenever somebody else has written
            source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            with copy.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(PAGES)
                    told(backup.page_count - backup.remaining, backup.page_count)
        found = copy.pragma("quick_check")
        if found != "ok":
            raise CopyDamaged(str(found))
        jobs: int = copy.execute(sql("count_jobs")).get
    finally:
        copy.close(force=True)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return jobs
