"""The schema goes forward only, and a release works on that of the next one."""

from pathlib import Path

import apsw
import pytest

from postlude.errors import SchemaTooNew, StoreUnavailable
from postlude.job import Event, JobState
from postlude.stores import open_store
from postlude.stores.contract import Filter
from postlude.stores.sqlite import connection as connections
from postlude.stores.sqlite import migrations, writer
from postlude.stores.sqlite.migrations import MIGRATIONS, Migration
from postlude.stores.sqlite.statements import sql
from tests.stores.making import claim_all, ended, queued

NEXT = "ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0; CREATE TABLE features (id BLOB);"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


def be_a_later_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on there is one more migration."""
    number = len(MIGRATIONS) + 1
    newer = (*MIGRATIONS, Migration(version=number, needs=1))
    migrate = migrations.migrate
    monkeypatch.setattr(migrations, "sql", lambda name: NEXT if name == f"migrations/{number:04}" else sql(name))
    monkeypatch.setattr(writer, "migrate", lambda connection, path: migrate(connection, path, newer))


async def work(url: str) -> None:
    store = open_store(url)
    await store.open()
    owner = await store.enlist()
    await store.insert([queued()])
    for claim in await claim_all(store, owner):
        assert not await store.settle([ended(claim, Event.SUCCEED)])
    await store.close()


def look(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def test_each_migration_is_written_down(url: str, tmp_path: Path) -> None:
    await work(url)
    await work(url)
    assert look(tmp_path / "jobs.db", "SELECT version, needs FROM migrations") == [tuple(m) for m in MIGRATIONS]
    assert look(tmp_path / "jobs.db", "PRAGMA user_version") == [(MIGRATIONS[-1].version,)]


def test_the_numbers_have_no_gaps_and_every_one_has_its_file() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    assert all(sql(f"migrations/{migration.version:04}") for migration in MIGRATIONS)


async def test_a_later_release_migrates_what_this_one_left(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work(url)
    be_a_later_release(monkeypatch)
    await work(url)
    assert look(tmp_path / "jobs.db", "SELECT count(*), sum(priority) FROM jobs") == [(2, 0)]


async def test_this_release_works_on_the_schema_of_the_next(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        be_a_later_release(patch)
        await work(url)
    await work(url)
    store = open_store(url)
    await store.open()
    assert await store.count(Filter()) == {JobState.SUCCEEDED: 2}
    await store.close()


async def test_a_schema_that_is_too_new(url: str, tmp_path: Path) -> None:
    await work(url)
    look(tmp_path / "jobs.db", "INSERT INTO migrations VALUES (8, 7); PRAGMA user_version = 8")
    with pytest.raises(SchemaTooNew) as raised:
        await work(url)
    assert str(raised.value) == (
        f"The store {tmp_path}/jobs.db has schema 8, which needs a release that knows schema 7 or later; "
        f"this one knows {MIGRATIONS[-1].version}. Start the newer release again, or set POSTLUDE_URL to another store."
    )


async def test_a_migration_that_fails_leaves_nothing_behind(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "sql", lambda name: sql(name) + "; BROKEN" if "migrations/" in name else sql(name))
    with pytest.raises(apsw.SQLError):
        await work(url)
    monkeypatch.setattr(migrations, "sql", sql)
    assert look(tmp_path / "jobs.db", "SELECT name FROM sqlite_schema") == []
    await work(url)


async def test_open_waits_for_others_only_so_long(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await work(url)
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(migrations, "BUSY_SECONDS", 0.05)
    other = apsw.Connection(str(tmp_path / "jobs.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=r"did not open .BusyError"):
        await work(url)
    other.execute("ROLLBACK")
    other.close()
    await work(url)
