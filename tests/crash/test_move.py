"""A move that is killed at random moments and begun again: every row arrives, once, and runs on one side only."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import apsw
import asyncpg
import pytest

from postlude.job import Event
from postlude.stores.contract import Store
from tests.stores.making import claim_all, ended, queued
from tests.stores.menagerie import everything, populate
from tests.stores.places import await_end, new_namespace, open_place, server

SEED: Final = 20_261_123
ROOT: Final = Path(__file__).parents[2]
PORTION: Final = 5
LONGEST: Final = 0.02
"""Seconds after a step until the kill at the latest: several commits."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server that the tests of this file share."""
    with server() as dsn:
        yield dsn


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the jobs go."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/destination.db"
    return new_namespace(request.getfixturevalue("postgres"))


def soak(kills: int) -> object:
    return pytest.param(kills, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])


class Kills:
    """Runs the mover, and kills it some steps after its beginning."""

    def __init__(self, source: Path, url: str, seed: int) -> None:
        self._command = [sys.executable, "-m", "tests.crash.mover", str(source), url, str(PORTION)]
        self._url = url
        self._random = random.Random(seed)
        self.steps: list[str] = []
        """What it had said last before each kill."""

    def run(self, *, kill: bool = True) -> int | None:
        """Returns its exit code; None: it was killed."""
        with subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as mover:
            assert mover.stdout is not None
            said = ""
            for _ in range(self._random.randint(1, 30) if kill else 0):
                said = mover.stdout.readline() or said
            if kill:
                with suppress(subprocess.TimeoutExpired):
                    mover.wait(timeout=self._random.uniform(0, LONGEST))
                mover.kill()
            mover.communicate()
        await_end(self._url, mover.pid)
        if mover.returncode != -9:
            return mover.returncode
        self.steps.append(said.strip())
        return None


@pytest.mark.parametrize("kills", [4, soak(150)])
async def test_every_row_arrives_once(tmp_path: Path, url: str, kills: int) -> None:
    path = tmp_path / "source.db"
    source = open_place(f"sqlite:///{path}")
    await source.open()
    await populate(source, seed=SEED, rounds=3 * kills)
    before = await everything(f"sqlite:///{path}")
    await source.close()
    killing = Kills(path, url, SEED)
    code: int | None = None
    for _ in range(kills):
        code = killing.run()
        assert code in {None, 0}
        assert is_shut(path) or not await arrived(url), "a job is there, and at the source may still be claimed"
    assert killing.run(kill=False) == 0
    assert is_shut(path)
    assert len(killing.steps) > kills / 2, f"it was killed at {killing.steps}"
    shut, there = await everything(f"sqlite:///{path}"), await everything(url)
    assert there == shut._replace(pauses=[row for row in shut.pauses if row[0] != "store"])
    assert [row[0] for row in there.jobs] == [row[0] for row in before.jobs]
    print(f"\n{len(killing.steps)} kills, after {killing.steps}: of {len(there.jobs)} jobs none lost, none doubled")


@pytest.mark.parametrize("kills", [3, soak(100)])
async def test_every_job_runs_once(tmp_path: Path, url: str, kills: int) -> None:
    """While a worker at the destination takes what is there, and one at the source, which lives, what it can get."""
    path = tmp_path / "source.db"
    source, destination = open_place(f"sqlite:///{path}"), open_place(url)
    await source.open()
    await destination.open()
    here, there = await source.enlist(), await destination.enlist()
    jobs = [queued() for _ in range(60 * kills)]
    await source.insert(jobs)
    killing = Kills(path, url, SEED)
    ran: list[UUID] = []
    code: int | None = None
    while code is None:
        code = killing.run(kill=len(killing.steps) < kills)
        ran += await run_some(source, here)
        ran += await run_some(destination, there)
    assert code == 0
    while some := await run_some(destination, there):
        ran += some
    assert sorted(ran) == sorted(job.id for job in jobs)
    assert len(await destination.get(ran)) > len(ran) / 2, "most have moved, or there was nothing to see"
    await destination.dismiss(there)
    await destination.close()
    await source.dismiss(here)
    await source.close()


async def run_some(store: Store, owner: int) -> list[UUID]:
    """Run a few of what is due."""
    claims = await claim_all(store, owner, limit=10)
    refused = await store.settle([ended(claim, Event.SUCCEED) for claim in claims])
    return [claim.job_id for claim in claims if claim.job_id not in refused]


def is_shut(path: Path) -> bool:
    """Whether nothing changes at the source any more."""
    database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return database.execute("SELECT shut_at FROM departures").fetchall() not in ([], [(None,)])
    finally:
        database.close()


async def arrived(url: str) -> int:
    """How many jobs are at the destination."""
    try:
        return len((await everything(url)).jobs)
    except (apsw.Error, asyncpg.PostgresError):  # it was killed before there were tables
        return 0
