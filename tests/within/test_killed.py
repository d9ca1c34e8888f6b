"""A process is killed between the commit of its own file and that of the store: no job is lost, none doubled."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Job, JobState, Postlude
from postlude.job import UNFINISHED
from tests.face.holding import ran
from tests.scenarios.waiting import wait_until
from tests.within.callers import left, notes
from tests.within.tasks import note

SEED = 20_241_123
ROOT = Path(__file__).parents[2]


def die(what: str, *arguments: str) -> None:
    code = f"from tests.within.killed import main; main({what!r})"
    ended = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL


KINDS = ["sqlite3", "apsw", "Session"]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_before_anybody_has_moved_the_job(kind: str, own: Path, url: str, app: FastAPI) -> None:
    ran.clear()
    die("commit", url, str(own), kind)
    assert (notes(own, kind), left(own, kind)) == (1, 2)
    durable = Postlude(app, url)
    with TestClient(app):
        jobs = wait_until(lambda: _ended(durable, 2), "both jobs have run")
        assert left(own, kind) == 0
    assert sorted(job.result for job in jobs) == ["noted one", "noted two"]
    assert sorted(ran) == ["one", "two"]


@pytest.mark.parametrize("kind", KINDS)
def test_killed_while_it_moved_the_job(kind: str, own: Path, url: str, app: FastAPI) -> None:
    ran.clear()
    die("between", url, str(own), kind)
    assert left(own, kind) == 1
    durable = Postlude(app, url)
    with TestClient(app):
        wait_until(lambda: left(own, kind) == 0, "the job has left the outbox")
        (job,) = wait_until(lambda: _ended(durable, 1), "the job has run")
        assert (job.result, job.attempts) == ("noted one", 1)
    assert ran == ["one"]


def killed_under_load(app: FastAPI, url: str, own: Path, kills: int) -> None:
    """Both files of a server that is killed again and again agree in the end."""
    chance = random.Random(SEED)
    code = "from tests.within.killed import main; main('load')"
    for _ in range(kills):
        enough = notes(own) + chance.randrange(5, 200)
        with subprocess.Popen([sys.executable, "-c", code, url, str(own)], cwd=ROOT) as server:
            wait_until(lambda: notes(own) >= enough or server.poll() is not None, "some are committed", seconds=60)  # noqa: B023 - called at once
            server.kill()
        assert server.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(own)) as connection:
        committed = sorted(what for (what,) in connection.execute("SELECT text FROM notes"))
    durable = Postlude(app, url)
    with TestClient(app):
        wait_until(lambda: left(own) == 0, "the outbox is empty", seconds=60)
        wait_until(lambda: not _unfinished(durable), "all jobs have ended", seconds=60)
        jobs = durable.blocking.jobs.list(task=note, limit=100_000)
    assert sorted(job.result.removeprefix("noted ") for job in jobs) == committed
    print(f"{kills} kills, {len(committed)} transactions with a job each, none lost, none doubled")


def test_killed_again_and_again_under_load(app: FastAPI, url: str, own: Path) -> None:
    killed_under_load(app, url, own, 4)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_fifty_times_under_load(app: FastAPI, url: str, own: Path) -> None:
    killed_under_load(app, url, own, 50)


def _unfinished(durable: Postlude) -> int:
    return sum(durable.blocking.jobs.count(state=UNFINISHED).values())


def _ended(durable: Postlude, count: int) -> list[Job[Any]]:
    jobs = durable.blocking.jobs.list(task=note, state=JobState.SUCCEEDED)
    return jobs if len(jobs) == count else []
