"""A process is killed between the commit of its own file and that of the store: no job is lost, none doubled."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from postlude import Job, JobState, Postlude
from tests.face.holding import ran
from tests.scenarios.waiting import wait_until
from tests.within.callers import left, notes
from tests.within.tasks import note

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


def _ended(durable: Postlude, count: int) -> list[Job[Any]]:
    jobs = durable.blocking.jobs.list(task=note, state=JobState.SUCCEEDED)
    return jobs if len(jobs) == count else []
