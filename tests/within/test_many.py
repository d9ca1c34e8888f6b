"""47: the application's own transactions and Postlude's jobs, mixed, from many threads: both of each, or neither."""

import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import JobState, Postlude
from tests.face.holding import ran
from tests.scenarios.waiting import wait_until
from tests.within.callers import left, of_a_mapper, of_the_standard_library
from tests.within.tasks import note

THREADS = 8
SEED = 20_241_123


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
