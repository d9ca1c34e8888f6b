"""What another process does that is killed: it commits, and dies before, or while, its job is moved into the store."""

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn
from uuid import UUID

from postlude import Postlude
from postlude.stores.outbox import OutboxFile
from tests.within.callers import BLOCKING
from tests.within.tasks import note


def commit_and_die(url: str, path: str, kind: str) -> None:
    """The first of three jobs is rolled back."""
    durable = Postlude(url=url, worker="off")
    with BLOCKING[kind](Path(path)) as transaction:
        durable.blocking.options(within=transaction.within).enqueue(note, "never")
        transaction.rollback()
        if kind == "apsw":
            transaction.within.execute("BEGIN")
        durable.blocking.options(within=transaction.within).enqueue_many(note, [("one",), ("two",)])
        transaction.note()
        transaction.commit()
        _die()


def die_between_the_two_files(url: str, path: str, kind: str) -> None:
    """The job is in the store, and has not left the outbox."""

    async def remove(self: OutboxFile, job_ids: Iterable[UUID]) -> None:
        _die()

    OutboxFile.remove = remove  # type: ignore[method-assign]  # where the process is to end
    durable = Postlude(url=url, worker="off")
    with BLOCKING[kind](Path(path)) as transaction:
        job = durable.blocking.options(within=transaction.within).enqueue(note, "one")
        transaction.commit()
        durable.blocking.jobs.get(job.id)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(what: str) -> None:
    {"commit": commit_and_die, "between": die_between_the_two_files}[what](*sys.argv[1:])
