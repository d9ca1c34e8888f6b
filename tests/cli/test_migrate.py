"""`postlude migrate`, for both stores."""

import asyncio
import os
import sqlite3
import subprocess
import uuid
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from postlude.cli.commands import commands
from postlude.stores import open_store
from postlude.stores.contract import Filter
from postlude.stores.migrating import migrate
from postlude.stores.postgres.migrations import MIGRATIONS as OF_POSTGRES
from postlude.stores.sqlite.migrations import MIGRATIONS as OF_SQLITE
from tests.stores.places import binaries


class Place:
    """An empty place, as the command is told of it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.schema = None if url.startswith("sqlite") else f"s{uuid.uuid4().hex}"
        self.last = (OF_POSTGRES if self.schema else OF_SQLITE)[-1].version
        self.shown = f"{url}, schema '{self.schema}'" if self.schema else f"{folder}/jobs.db"

    def run(self, *options: str, **env: str) -> Result:
        kept = {name: None for name in os.environ if name.startswith("POSTLUDE_")}
        own = {"POSTLUDE_URL": self.url} | ({"POSTLUDE_SCHEMA": self.schema} if self.schema else {})
        return CliRunner().invoke(commands, ["migrate", *options], env={**kept, **own, **env})

    def said(self, *options: str, **env: str) -> str:
        done = self.run(*options, **env)
        assert (done.exit_code, done.stderr) == (0, ""), done.exception
        return done.stdout

    def apply(self, script: str) -> None:
        """As an administrator does who has the last word."""
        if self.schema is None:
            with closing(sqlite3.connect(self.folder / "jobs.db", isolation_level=None)) as connection:
                connection.executescript(script)
            return
        command = [str(binaries() / "psql"), "-d", self.url, "-v", "ON_ERROR_STOP=1", "-q"]
        subprocess.run(command, input=script, text=True, check=True, capture_output=True)

    def opens(self) -> bool:
        """Whether it can be worked with as it is."""

        async def count() -> bool:
            store = open_store(self.url, schema=self.schema, migrate="never" if self.schema else None)
            await store.open()
            found = await store.count(Filter())
            await store.close()
            return found == {}

        return asyncio.run(count())


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path, f"sqlite:///{tmp_path}/jobs.db")
    return Place(tmp_path, request.getfixturevalue("postgres"))


def test_it_makes_the_tables_once(place: Place) -> None:
    assert place.said("--dry-run") == f"{place.shown}: no tables; migration {place.last} is to come.\n"
    assert place.said() == f"{place.shown}: no tables; now at migration {place.last}.\n"
    assert place.said() == f"{place.shown}: up to date, at migration {place.last}.\n"
    assert place.said("--dry-run") == f"{place.shown}: up to date, at migration {place.last}.\n"
    assert place.said("--sql") == ""
    assert place.opens()


def test_a_dry_run_changes_nothing(place: Place) -> None:
    before = place.said("--dry-run")
    place.said("--sql")
    assert place.said("--dry-run") == before
    assert list(place.folder.iterdir()) == []


def test_the_sql_can_be_carried_out_by_somebody_else(place: Place) -> None:
    place.apply(place.said("--sql"))
    assert place.said() == f"{place.shown}: up to date, at migration {place.last}.\n"
    assert place.opens()


def test_an_index_of_a_table_in_use_is_built_outside_of_a_transaction(postgres: str, tmp_path: Path) -> None:
    place = Place(tmp_path, postgres)
    assert "CONCURRENTLY" not in place.said("--sql"), "nobody is in the way yet"
    place.said()
    place.apply(f"DROP INDEX {place.schema}.jobs_of_key; DELETE FROM {place.schema}.migrations WHERE version = 5")
    assert place.said("--dry-run").endswith("at migration 4; migration 5 is to come.\n")
    script = place.said("--sql")
    assert "CREATE INDEX CONCURRENTLY" in script
    assert "BEGIN" not in script
    place.apply(script)
    assert place.said("--dry-run").endswith("up to date, at migration 5.\n")
    assert place.opens()


def test_an_index_that_was_built_is_only_noted(postgres: str, tmp_path: Path) -> None:
    """Whoever built it was killed before that, and so may the next one be."""
    place = Place(tmp_path, postgres)
    place.said()
    place.apply(f"DELETE FROM {place.schema}.migrations WHERE version = 5")
    script = place.said("--sql")
    assert "INDEX" not in script
    place.apply(script)
    place.apply(script)
    assert place.said("--dry-run").endswith("up to date, at migration 5.\n")


def test_what_the_environment_says_of_others_does_not_matter(place: Place) -> None:
    env = {"POSTLUDE_MIGRATE": "never", "POSTLUDE_NAMESPACE": "shop"}
    assert "now at migration" in place.said(**env)


def test_a_url_and_a_schema_may_be_given(postgres: str, tmp_path: Path) -> None:
    place = Place(tmp_path, postgres)
    schema = f"s{uuid.uuid4().hex}"
    assert f"schema '{schema}'" in place.said(postgres, "--schema", schema, POSTLUDE_URL="sqlite:///x.db")


def test_a_later_release_was_there(postgres: str, tmp_path: Path) -> None:
    place = Place(tmp_path, postgres)
    place.said()
    place.apply(f"INSERT INTO {place.schema}.migrations VALUES (99, 1)")
    assert place.said().endswith(
        f"at migration 99, of a later release; this one knows {place.last}, and works with it.\n"
    )
    place.apply(f"UPDATE {place.schema}.migrations SET needs = 99")
    done = place.run()
    assert (done.exit_code, done.stdout) == (1, "")
    assert "needs a release that knows schema 99" in done.stderr


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("redis://cache", 2, "url: expected sqlite:///"),
        ("postgresql://me:hunter2@127.0.0.1:1/jobs", 1, "postgresql://me@127.0.0.1:1/jobs"),
        ("sqlite:////nowhere/jobs.db", 1, "the folder /nowhere does not exist"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(tmp_path: Path, url: str, code: int, said: str) -> None:
    done = Place(tmp_path, "sqlite:///jobs.db").run(url)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("not ours")
    done = Place(tmp_path, f"sqlite:///{tmp_path}/jobs.db").run()
    assert done.exit_code == 1
    assert "is not a database at all" in done.stderr
    assert (tmp_path / "jobs.db").read_text() == "not ours"


async def test_many_at_once(postgres: str, tmp_path: Path) -> None:
    place = Place(tmp_path, postgres)
    await asyncio.gather(*(migrate(postgres, schema=place.schema) for _ in range(4)))
    connection = await asyncpg.connect(postgres)
    assert await connection.fetchval(f"SELECT count(*) FROM {place.schema}.migrations") == len(OF_POSTGRES)
    await connection.close()
