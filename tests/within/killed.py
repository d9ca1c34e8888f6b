"""What another process does that is killed: it commits, and dies before, or while, its job is moved into the store."""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID, uuid4

from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Postlude
from postlude.stores.outbox import OutboxFile
from tests.within.callers import ON_FILES, Write, of_a_mapper, of_the_standard_library
from tests.within.tasks import note


def commit_and_die(url: str, path: str, kind: str) -> None:
    """The first of three jobs is rolled back."""
    durable = Postlude(url=url, worker="off")
    with ON_FILES.blocking[kind](Path(path)) as transaction:
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
    with ON_FILES.blocking[kind](Path(path)) as transaction:
        job = durable.blocking.options(within=transaction.within).enqueue(note, "one")
        transaction.commit()
        durable.blocking.jobs.get(job.id)


def write_until_killed(url: str, path: str) -> None:
    """With a worker in the same process, which moves and runs what the threads beside it commit."""
    app = FastAPI()
    durable = Postlude(app, url)
    with TestClient(app), ThreadPoolExecutor() as threads:
        for begin in (of_the_standard_library, of_a_mapper):
            threads.submit(_write, durable, begin(Path(path)))


def _write(durable: Postlude, beginning: AbstractContextManager[tuple[Any, Write]]) -> NoReturn:
    with beginning as (own, write):
        enqueue = durable.blocking.options(within=own).enqueue
        while True:
            what = uuid4().hex
            write(own, what)
            enqueue(note, what)
            if what < "4":
                own.rollback()
            else:
                own.commit()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def main(what: str) -> None:
    ways: dict[str, Callable[..., None]] = {
        "commit": commit_and_die,
        "between": die_between_the_two_files,
        "load": write_until_killed,
    }
    ways[what](*sys.argv[1:])
