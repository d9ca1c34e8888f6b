"""Opening a store in PostgreSQL: every way to write where it is, and what is said when it cannot be opened."""

import asyncio
import os
import subprocess
import sys
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from postlude.errors import PostludeError, SchemaNotReady, SchemaTooNew, StoreUnavailable
from postlude.job import Event, JobState
from postlude.stores import open_store
from postlude.stores.contract import Filter, Store
from postlude.stores.postgres import PostgresStore
from postlude.stores.postgres.location import Location, dsn_of
from postlude.stores.postgres.migrations import MIGRATIONS, Migration, check
from postlude.stores.postgres.writing import MANY
from tests.stores.making import claim_all, ended, keyed, queued

SECRET = "correct-horse"


@pytest.fixture
def place(postgres: str) -> dict[str, Any]:
    """A schema of its own in the database of the tests."""
    return {"url": postgres, "schema": f"s{uuid.uuid4().hex}"}


@pytest.fixture
async def role(postgres: str, admin: asyncpg.Connection) -> AsyncIterator[str]:
    """A role that may do nothing yet, and has to give the password."""
    name = f"role_{uuid.uuid4().hex}"
    await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    with ruled(await admin.fetchval("SHOW hba_file"), f"local all {name} scram-sha-256\n"):
        await admin.execute("SELECT pg_reload_conf()")
        await asyncio.wait_for(asks_for_a_password(postgres, name), 10)
        yield name
    await admin.execute("SELECT pg_reload_conf()")
    await admin.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


@contextmanager
def ruled(file: str, rule: str) -> Iterator[None]:
    """With one rule more of who has to say what to be let in."""
    rules = Path(file)
    before = rules.read_text()
    rules.write_text(rule + before)
    yield
    rules.write_text(before)


async def asks_for_a_password(postgres: str, role: str) -> None:
    """Return when the server has read its new rules."""
    while True:
        try:
            await (await asyncpg.connect(of_role(postgres, role, "wrong"))).close()
        except asyncpg.InvalidPasswordError:
            return


def of_role(postgres: str, role: str, password: str = "") -> str:
    return postgres.replace("postlude@", f"{role}:{password}@" if password else f"{role}@")


async def opened(store: Store) -> Store:
    """The store, opened and closed again."""
    await store.open()
    await store.close()
    return store


async def refused(store: Store, kind: type[PostludeError], *words: str) -> None:
    """It cannot be opened, and says so in one line, without the password."""
    with pytest.raises(kind) as raised:
        await opened(store)
    said = str(raised.value)
    assert "\n" not in said
    for word in words:
        assert word in said
    assert SECRET not in said
    assert SECRET not in "".join(traceback.format_exception(raised.value))


# The URL


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg_async", "Postgres"],
)
async def test_as_users_and_sqlalchemy_write_it(place: dict[str, Any], scheme: str) -> None:
    await opened(open_store(place["url"].replace("postgresql", scheme), schema=place["schema"]))


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "ssl=prefer",
        "sslmode=prefer&channel_binding=prefer",
        "connect_timeout=5&application_name=shop&keepalives=1",
        "prepared_statement_cache_size=0&pgbouncer=true",
        "options=-c%20statement_timeout%3D60s",
        "sslmode",
    ],
)
async def test_what_a_url_says_to_others_does_not_matter(place: dict[str, Any], query: str) -> None:
    await opened(open_store(f"{place['url']}&{query}", schema=place["schema"]))


async def test_what_the_server_does_not_know_is_named(place: dict[str, Any]) -> None:
    store = open_store(f"{place['url']}&search_pth=shop")
    await refused(store, PostludeError, 'unrecognized configuration parameter "search_pth"', "correct it there")


@pytest.mark.parametrize("mode", ["sslmode=never", "target_session_attrs=any-of-them"])
async def test_an_option_that_makes_no_sense_is_named(place: dict[str, Any], mode: str) -> None:
    await refused(open_store(f"{place['url']}&{mode}"), PostludeError, mode.partition("=")[0], "correct it there")


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_a_file_that_is_not_there_is_named(place: dict[str, Any], name: str) -> None:
    store = open_store(f"{place['url']}&sslmode=verify-full&{name}=/nowhere/root.crt")
    await refused(store, StoreUnavailable, f"{name} in its URL", "a file that can be read", "'/nowhere/root.crt'")


@pytest.mark.parametrize("named", ["sslmode=disable&sslcert", "sslmode=prefer&sslrootcert", "sslrootcert"])
async def test_a_file_that_nobody_reads_need_not_be_there(place: dict[str, Any], named: str) -> None:
    await opened(open_store(f"{place['url']}&{named}=/nowhere/root.crt", schema=place["schema"]))


def test_a_password_is_never_in_what_is_shown() -> None:
    location = Location(dsn_of(f"postgresql+psycopg://me:{SECRET}@db/jobs?password={SECRET}"), password=SECRET)
    assert location.shown == "postgresql://me@db/jobs"
    assert SECRET not in repr(location)
    assert SECRET not in repr(PostgresStore(location))


def test_a_socket_is_shown_by_its_folder() -> None:
    location = Location(dsn_of(f"postgresql://me@/jobs?password={SECRET}&host=/run/one"))
    assert location.shown == "postgresql://me@/jobs?host=/run/one"


async def test_a_schema_may_be_called_as_a_word_of_sql(postgres: str, admin: asyncpg.Connection) -> None:
    store = open_store(postgres, schema="user")
    await store.open()
    await store.insert([queued()])
    assert sum((await store.count(Filter())).values()) == 1
    await store.close()
    await admin.execute('DROP SCHEMA "user" CASCADE')


async def test_two_namespaces_of_one_database_do_not_see_each_other(place: dict[str, Any]) -> None:
    shop, club = open_store(**place, namespace="shop"), open_store(**place, namespace="club")
    assert (await shop.open()).location.endswith("namespace 'shop'")
    await club.open()
    job = queued()
    await shop.insert([job])
    owner = await club.enlist()
    taken = await club.claim(owner=owner, tasks=[job.task], limit=9, now=job.run_at + 1, idle=True)
    assert taken.claims == []
    assert await club.waiting_tasks() == {}
    assert await shop.waiting_tasks() == {job.task: job.run_at}
    await shop.close()
    await club.close()


# The password


@pytest.mark.parametrize("way", ["url", "text", "function", "coroutine"])
async def test_a_password_is_given_in_many_ways(postgres: str, admin: asyncpg.Connection, role: str, way: str) -> None:
    await admin.execute(f"CREATE SCHEMA AUTHORIZATION {role}")

    async def later() -> str:
        return SECRET

    ways = {"url": None, "text": SECRET, "function": lambda: SECRET, "coroutine": later}
    password: str | Callable[[], str] | None = ways[way]  # type: ignore[assignment]
    url = of_role(postgres, role, SECRET if way == "url" else "")
    await opened(open_store(url, schema=role, password=password))


async def test_a_function_is_asked_at_each_new_connection(postgres: str, admin: asyncpg.Connection, role: str) -> None:
    """The password is another one by then, as those are that a cloud gives out for a while."""
    await admin.execute(f"CREATE SCHEMA AUTHORIZATION {role}")
    current = [SECRET]
    store = open_store(of_role(postgres, role), schema=role, password=lambda: current[-1])
    await store.open()
    current.append("another one")
    await admin.execute(f"ALTER ROLE {role} PASSWORD 'another one'")
    await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role)
    assert await eventually(store) == {}
    await store.close()


async def eventually(store: Store) -> object:
    """What it counts, when it works again."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await store.count(Filter())
            except StoreUnavailable:
                continue


async def test_a_function_that_has_none(postgres: str, role: str) -> None:
    def broken() -> str:
        message = "no token"
        raise LookupError(message)

    await refused(open_store(of_role(postgres, role), password=broken), StoreUnavailable, "LookupError: no token")
    given = open_store(of_role(postgres, role), password=lambda: 5)  # type: ignore[arg-type]
    await refused(given, StoreUnavailable, "is to return a string, and returned int")


@pytest.mark.parametrize("given", ["wrong-horse", None])
async def test_a_wrong_password(postgres: str, role: str, given: str | None) -> None:
    store = open_store(of_role(postgres, role), password=given)
    await refused(store, StoreUnavailable, f'password authentication failed for user "{role}"', "POSTLUDE_PASSWORD")


async def test_a_role_that_is_not_there(postgres: str) -> None:
    await refused(open_store(of_role(postgres, "nobody")), StoreUnavailable, 'role "nobody" does not exist')


# The way there


async def test_a_database_that_is_not_there(postgres: str) -> None:
    store = open_store(postgres.replace("/postgres?", "/nowhere?"))
    await refused(store, StoreUnavailable, 'database "nowhere" does not exist', "createdb")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "host.invalid"])
async def test_a_server_that_is_not_there(host: str) -> None:
    store = open_store(f"postgresql://me:{SECRET}@{host}/jobs")
    await refused(store, StoreUnavailable, f"postgresql://me@{host}/jobs", "whether the server runs there")


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    await refused(open_store(f"postgresql:///jobs?host={tmp_path}"), StoreUnavailable, "whether the server runs there")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("SET default_transaction_read_only = on", ("read-only transaction", "target_session_attrs=read-write")),
        ("CONNECTION LIMIT 0", ("too many connections", "raise max_connections, or the limit of the role")),
    ],
)
async def test_a_server_that_lets_nobody_in_or_write(
    postgres: str, admin: asyncpg.Connection, role: str, setting: str, words: tuple[str, ...]
) -> None:
    await admin.execute(f"CREATE SCHEMA AUTHORIZATION {role}; ALTER ROLE {role} {setting}")
    await refused(open_store(of_role(postgres, role, SECRET), schema=role), StoreUnavailable, *words)


# The schema


async def test_a_schema_that_is_missing_and_must_not_be_made(place: dict[str, Any]) -> None:
    store = open_store(**place, migrate="never")
    await refused(store, SchemaNotReady, f"has no schema '{place['schema']}'", "migrate='never'", "`postlude migrate`")
    await opened(open_store(**place))
    await opened(store)


async def test_a_schema_of_an_earlier_release_that_must_not_be_changed(
    place: dict[str, Any], admin: asyncpg.Connection
) -> None:
    await opened(open_store(**place))
    location = Location(place["url"], place["schema"])
    known = MIGRATIONS[-1].version
    with pytest.raises(SchemaNotReady) as raised:
        await check(admin, location, (*MIGRATIONS, Migration(version=known + 1, needs=1)))
    assert f"as of migration {known}, this release needs migration {known + 1}, and migrate='never'" in str(
        raised.value
    )


@pytest.mark.parametrize("migrate", ["auto", "never"])
async def test_a_schema_of_a_later_release(place: dict[str, Any], admin: asyncpg.Connection, migrate: Any) -> None:
    store = open_store(**place, migrate=migrate)
    await opened(open_store(**place))
    await admin.execute(f"INSERT INTO {place['schema']}.migrations VALUES (99, 1)")
    await opened(store)
    await admin.execute(f"UPDATE {place['schema']}.migrations SET needs = 99")
    await refused(store, SchemaTooNew, "has schema 99", "needs a release that knows schema 99")


async def test_this_release_works_on_the_schema_of_the_next(place: dict[str, Any], admin: asyncpg.Connection) -> None:
    """Which may have added tables, and columns with a default to each of these."""
    store = open_store(**place)
    await store.open()
    tables = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", place["schema"])
    assert len(tables) > 10
    for (table,) in tables:
        await admin.execute(f"ALTER TABLE {place['schema']}.{table} ADD COLUMN later integer NOT NULL DEFAULT 0")
    await admin.execute(f"INSERT INTO {place['schema']}.migrations (version, needs) VALUES (99, 1)")
    await store.close()
    await store.open()
    owner = await store.enlist()
    await store.insert([queued()])
    await store.insert([queued() for _ in range(2 * MANY)])
    await store.insert([keyed("one")])
    await store.insert([keyed("one")])
    claims = await claim_all(store, owner)
    failed = ended(claims[0], Event.FAIL)
    assert not await store.settle([failed, *(ended(claim, Event.SUCCEED) for claim in claims[1:])])
    assert len(await store.attempts(failed.job_id)) == 1
    assert await store.count(Filter()) == {JobState.FAILED: 1, JobState.SUCCEEDED: 2 * MANY + 1}
    await store.dismiss(owner)
    await store.close()


# Rights


async def test_a_role_that_may_not_make_a_schema(postgres: str, role: str) -> None:
    store = open_store(of_role(postgres, role, SECRET), schema=role)
    await refused(store, SchemaNotReady, "permission denied for database", "`postlude migrate`", "with a role that may")


async def test_a_role_that_may_not_look_into_the_schema(postgres: str, role: str) -> None:
    await opened(open_store(postgres, schema=role))
    store = open_store(of_role(postgres, role, SECRET), schema=role)
    await refused(store, StoreUnavailable, f"permission denied for schema {role}", "docs/postgres.md")


async def test_a_role_with_the_rights_that_the_page_names(postgres: str, admin: asyncpg.Connection, role: str) -> None:
    """It works without any right to change the schema; and when one is lost, that is said, and ends when it is back."""
    await opened(open_store(postgres, schema=role))
    for statement in rights(role, role):
        await admin.execute(statement)
    store = open_store(of_role(postgres, role, SECRET), schema=role, migrate="never")
    await store.open()
    owner = await store.enlist()
    await store.insert([queued()])
    await admin.execute(f"REVOKE INSERT ON {role}.jobs FROM {role}")
    with pytest.raises(StoreUnavailable, match=r"permission denied for table jobs.*docs/postgres\.md"):
        await store.insert([queued()])
    await admin.execute(f"GRANT INSERT ON {role}.jobs TO {role}")
    await store.insert([queued()])
    await store.dismiss(owner)
    await store.close()
    await admin.execute(f"DROP SCHEMA {role} CASCADE")


def rights(schema: str, role: str) -> list[str]:
    """The statements of docs/postgres.md."""
    page = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text("utf-8")
    lines = [line.strip() for line in page.splitlines() if line.strip().startswith(("GRANT", "ALTER DEFAULT"))]
    assert len(lines) == 3
    return [line.replace("postlude", schema, 1).replace(" app;", f" {role};") for line in lines]


# Without the driver


WITHOUT = """
import sys

sys.modules["asyncpg"] = None  # which is as good as not installed

from postlude import Postlude

Postlude(url="sqlite:///jobs.db")
try:
    Postlude(url="postgresql://db/jobs")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_missing_extra_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTLUDE_")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    kind, _, said = done.stdout.partition(" ")
    assert kind == "SettingsError"
    assert said.splitlines()[1:] == [
        "  - url: PostgreSQL is spoken to by asyncpg, which is not installed: pip install 'postlude[postgres]'"
    ]


def test_a_file_needs_no_asyncpg() -> None:
    program = "import sys, postlude; postlude.Postlude(url='sqlite:///x.db'); print('asyncpg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
