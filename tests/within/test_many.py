"""47: the application's own transactions and Postlude's jobs, mixed, from many threads: both of each, or neither."""

import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import sqlalchemy.orm
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import JobState, Postlude
from tests.face.holding import ran
from tests.scenarios.waiting import wait_until
from tests.within.callers import left
from tests.within.tasks import note

THREADS = 8
SEED = 20_241_123
PATIENCE = 60.0
"""Seconds that a writer waits for the others."""
WRITE = "INSERT INTO notes (text) VALUES (:what)"

Write = Callable[[Any, str], object]


@contextmanager
def of_the_standard_library(path: Path) -> Iterator[tuple[Any, Write]]:
    with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        yield connection, lambda own, what: own.execute(WRITE, {"what": what})


@contextmanager
def of_a_mapper(path: Path) -> Iterator[tuple[Any, Write]]:
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": PATIENCE})
    with sqlalchemy.orm.Session(engine) as session:
        yield session, lambda own, what: own.execute(sqlalchemy.text(WRITE), {"what": what})
    engine.dispose()


def transact(path: Path, durable: Postlude, thread: int, number: int) -> list[str]:
    """So many transactions, of which a third is rolled back; returns what was committed."""
    chance = random.Random(SEED + thread)
    committed = []
    with (of_a_mapper if thread % 2 else of_the_standard_library)(path) as (own, write):
        enqueue = durable.blocking.options(within=own).enqueue
        for each in range(number):
            what = f"{thread}.{each}"
            if each % 2:
                write(own, what)
            enqueue(note, what)
            if not each % 2:
                write(own, what)
            if chance.random() < 1 / 3:
                own.rollback()
            else:
                own.commit()
                committed.append(what)
    return committed


def mixed(app: FastAPI, durable: Postlude, own: Path, number: int, seconds: float) -> None:
    with TestClient(app), ThreadPoolExecutor(THREADS) as threads:
        work = [threads.submit(transact, own, durable, thread, number // THREADS) for thread in range(THREADS)]
        committed = sorted(what for each in work for what in each.result())
        wait_until(
            lambda: durable.blocking.jobs.count(state="succeeded")[JobState.SUCCEEDED] >= len(committed),
            f"{len(committed)} jobs have run",
            seconds=seconds,
        )
        wait_until(lambda: left(own) == 0, "the outbox is empty")
        assert sum(durable.blocking.jobs.count().values()) == len(committed)
    with closing(sqlite3.connect(own)) as connection:
        assert sorted(what for (what,) in connection.execute("SELECT text FROM notes")) == committed
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(ran) == committed


def test_47_mixed_transactions_of_eight_threads(app: FastAPI, durable: Postlude, own: Path) -> None:
    mixed(app, durable, own, 800, 30)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_47_ten_thousand_of_them(app: FastAPI, durable: Postlude, own: Path) -> None:
    mixed(app, durable, own, 10_000, 300)
