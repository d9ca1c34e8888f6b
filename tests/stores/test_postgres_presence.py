"""A worker's lock and lease in PostgreSQL: what each of them says, and when it is believed."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import asyncpg
import pytest

from postlude.errors import StoreUnavailable
from postlude.job import Claim, Event, NewJob
from postlude.limits import UNLIMITED, Limit, Rate
from postlude.stores.contract import Filter
from postlude.stores.postgres import PostgresStore, presence
from postlude.stores.postgres.connecting import direct_connection
from postlude.stores.postgres.leases import Leases, moment
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.nearby import Nearby
from postlude.stores.postgres.presence import Patience, Presence
from postlude.stores.postgres.statements import sql
from tests.stores.cluster import cluster
from tests.stores.making import claim_of, ended, queued, staged
from tests.stores.other_process import OtherProcess
from tests.stores.places import new_namespace

DEADLINE = 15.0


@pytest.fixture
def place(postgres: str) -> tuple[str, str]:
    dsn, _, namespace = new_namespace(postgres).partition("#")
    return dsn, namespace


@asynccontextmanager
async def opened(place: tuple[str, str], patience: Patience, schema: str = "postlude") -> AsyncIterator[PostgresStore]:
    store = PostgresStore(Location(place[0], schema=schema, namespace=place[1]), patience=patience)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def orphans_of(store: PostgresStore) -> set[object]:
    """Ask until there are some."""
    until = time.monotonic() + DEADLINE
    while not (found := await store.orphans(limit=9)):
        assert time.monotonic() < until, "nobody was given up"
    return {claim.job_id for claim in found}


async def backends(dsn: str, holding: int) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND (classid::bigint << 32) | objid::bigint = $1",
            holding,
        )
        return [row["pid"] for row in rows]
    finally:
        await connection.close()


async def cut(dsn: str, pid: int) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
    finally:
        await connection.close()


async def test_a_lease_that_has_passed_is_the_end_though_the_lock_is_held(place: tuple[str, str]) -> None:
    """As of a process that was stopped for longer: what it settles then is refused, and it cannot come back."""
    stopped = Patience(lease=0.3, extend_every=3600.0, second_look=0.0, calm=0.0)
    async with opened(place, stopped) as store:
        owner = await store.enlist()
        job = staged(owner)
        await store.insert([job])
        async with opened(place, Patience(second_look=0.0, calm=0.0)) as other:
            assert await orphans_of(other) == {job.id}
            (orphan,) = await other.orphans(limit=9)
            await other.settle([ended(orphan, Event.RESCUE)])
        assert await store.settle([ended(claim_of(job), Event.SUCCEED)]) == {job.id}


async def test_a_loop_that_is_blocked_looks_alive(place: tuple[str, str]) -> None:
    """For longer than the lease: a thread of its own extends that."""
    lease = 2.0

    async def orphans() -> list[Claim]:
        async with opened(place, Patience(second_look=0.0, calm=0.0)) as other:
            until = time.monotonic() + 1.5 * lease
            while not (found := await other.orphans(limit=9)) and time.monotonic() < until:
                pass
            return found

    async with opened(place, Patience(lease=lease, extend_every=0.1)) as store:
        owner = await store.enlist()
        await store.insert([staged(owner)])
        with ThreadPoolExecutor(1) as another_thread:
            looked = another_thread.submit(asyncio.run, orphans())
            assert looked.result() == []  # and until then nothing happens on this loop


async def test_who_was_given_up_is_told_and_another_worker_takes_its_place(place: tuple[str, str]) -> None:
    told = threading.Event()
    async with opened(place, Patience(extend_every=0.05)) as store:
        owner = await store.enlist(told.set)
        job = queued()
        await store.insert([job])
        connection = await asyncpg.connect(place[0])
        await connection.execute("UPDATE postlude.workers SET fenced = true WHERE id = $1", owner)
        await connection.close()
        assert await asyncio.to_thread(told.wait, DEADLINE)
        assert await claimed(store, owner, job) == []
        another = await store.enlist()
        await store.dismiss(owner)
        assert await claimed(store, another, job) == [job.id]


async def test_who_may_have_been_given_up_gets_no_claims(place: tuple[str, str]) -> None:
    """Before it has learnt of that: by its own clock its lease may be over."""
    async with opened(place, Patience(lease=0.3, extend_every=3600.0)) as store:
        owner = await store.enlist()
        await store.insert([staged(owner)])
        async with opened(place, Patience(second_look=0.0, calm=0.0)) as other:
            await orphans_of(other)
        job = queued()
        await store.insert([job])
        assert await claimed(store, owner, job) == []
        assert await claimed(store, await store.enlist(), job) == [job.id]


@pytest.mark.skipif(sys.platform != "linux", reason="has no clock of its own for that")
def test_a_lease_passes_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(30.0)
    leases.begin(1, lambda: None, at=moment())
    assert leases.sure_of(1)
    read = time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: read(clock) + 60.0 * (clock == time.CLOCK_BOOTTIME))
    assert not leases.sure_of(1)
    assert leases.silence > 60.0


async def test_who_does_not_hold_its_lock_gets_no_claims(
    place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease goes on for long, but others may see that its lock is free; the connections of its pool live."""
    async with opened(place, Patience()) as store:
        owner, job = await store.enlist(), queued()
        await store.insert([job])
        gone, back = asyncio.Event(), direct_connection

        async def refused(_: Location) -> asyncpg.Connection:
            gone.set()
            message = "refused"
            raise OSError(message)

        monkeypatch.setattr(presence, "direct_connection", refused)
        (pid,) = await backends(place[0], owner)
        await cut(place[0], pid)
        while not gone.is_set():  # noqa: ASYNC110 - it is set on another loop
            await asyncio.sleep(0.005)
        assert await claimed(store, owner, job) == []
        assert not store.sure_of(owner)
        monkeypatch.setattr(presence, "direct_connection", back)
        until = time.monotonic() + DEADLINE
        while await claimed(store, owner, job) != [job.id]:
            assert time.monotonic() < until, "it did not take its lock again"
        assert store.sure_of(owner)


@pytest.mark.parametrize("limit", [UNLIMITED, Limit(rate=Rate(1, 60.0))])
async def test_who_was_fenced_and_has_not_heard_of_it_gets_no_claims(place: tuple[str, str], limit: Limit) -> None:
    async with opened(place, Patience(extend_every=3600.0)) as store:
        owner, job = await store.enlist(), queued()
        limits = {} if limit is UNLIMITED else {job.task: limit}
        await store.insert([job])
        connection = await asyncpg.connect(place[0])
        await connection.execute("UPDATE postlude.workers SET fenced = true WHERE id = $1", owner)
        await connection.close()
        assert await claimed(store, owner, job, limits) == []
        assert await claimed(store, await store.enlist(), job, limits) == [job.id], "nor did it count as a start"


async def claimed(
    store: PostgresStore, owner: int, job: NewJob, limits: Mapping[str, Limit] = MappingProxyType({})
) -> list[object]:
    now = job.run_at + 1
    taken = await store.claim(owner=owner, tasks=[job.task], limit=1, now=now, idle=True, limits=limits)
    return [claim.job_id for claim in taken.claims]


async def test_a_connection_that_is_cut_while_its_process_is_well_doubles_nothing(place: tuple[str, str]) -> None:
    async with (
        opened(place, Patience(second_look=1.0, calm=0.0)) as store,
        opened(place, Patience(second_look=2.0, calm=0.0)) as other,
    ):
        owner = await store.enlist()
        await store.insert([staged(owner)])
        (pid,) = await backends(place[0], owner)
        await cut(place[0], pid)
        assert await other.orphans(limit=9) == []
        until = time.monotonic() + DEADLINE
        while [pid] == (now := await backends(place[0], owner)) or not now:
            assert time.monotonic() < until, "it did not take its lock again"


async def test_who_was_cut_off_itself_judges_nobody_by_a_lock(place: tuple[str, str]) -> None:
    """The others may be on their way back just as it is."""
    async with (
        opened(place, Patience(second_look=0.0, calm=0.0)) as store,
        opened(place, Patience(second_look=0.0, calm=3600.0)) as other,
    ):
        mine = await other.enlist()
        owner = await store.enlist()
        await store.insert([staged(owner)])
        await put_elsewhere(place)
        (pid,) = await backends(place[0], mine)
        await cut(place[0], pid)
        until = time.monotonic() + DEADLINE
        while [pid] == (now := await backends(place[0], mine)) or not now:
            assert time.monotonic() < until, "it did not come back"
        await store.dismiss(owner)
        assert await other.orphans(limit=9) == []


async def test_who_starts_just_after_a_failover_judges_nobody_for_a_while() -> None:
    """It was cut off from nothing itself, and the server was started long ago."""
    with cluster() as server:
        dsn, _, namespace = new_namespace(server.dsn).partition("#")
        place = dsn, namespace
        with OtherProcess("#".join(place)) as other:
            other.do("enlist")
            other.do("stage", 1)
        await put_elsewhere(place)
        server.stop("immediate")
        server.follow()
        await rows(dsn, f"SELECT pg_sleep_until(pg_postmaster_start_time() + make_interval(secs => {CALM}))")
        server.promote()
        async with opened(place, Patience(second_look=0.0, calm=CALM)) as store:
            assert await store.orphans(limit=9) == []
        server.ask("CHECKPOINT")  # until it, and from then on, other things tell of it
        async with opened(place, Patience(second_look=0.0, calm=CALM)) as store:
            assert await store.orphans(limit=9) == []
            assert await orphans_of(store)
        await rows(dsn, "UPDATE postlude.workers SET fenced = false")
        server.crash()
        async with opened(place, Patience(second_look=0.0, calm=CALM)) as store:
            assert await store.orphans(limit=9) == []


CALM = 1.5


async def test_a_server_that_does_not_say_whether_it_took_over_is_taken_for_one_that_did(
    place: tuple[str, str],
) -> None:
    """As a service that only speaks as PostgreSQL does, and has no such function."""
    await rows(place[0], "CREATE SCHEMA compatible")
    await rows(place[0], LACKING)
    lacking = f"{place[0]}&options=-csearch_path%3Dcompatible,pg_catalog"
    patience = Patience(second_look=0.0, calm=3600.0)
    async with opened((lacking, place[1]), patience) as store, opened(place, patience) as other:
        assert not await store._now().presence.is_calm()
        assert await other._now().presence.is_calm()
    await rows(place[0], "DROP SCHEMA compatible CASCADE")


LACKING = """
CREATE FUNCTION compatible.pg_control_checkpoint(
    OUT timeline_id integer, OUT checkpoint_time timestamptz, OUT redo_lsn pg_lsn, OUT checkpoint_lsn pg_lsn
) LANGUAGE plpgsql AS $$ BEGIN RAISE undefined_function; END $$
"""


async def test_it_ends_at_once_whatever_happens_at_that_moment(place: tuple[str, str]) -> None:
    """A cancellation that comes together with what was awaited must not be forgotten over that."""
    for turns in range(6):
        async with opened(place, Patience(extend_every=3600.0 + turns)) as store:
            assert store._open is not None
            presence = store._open.presence
            store.listen(lambda _: None)

            async def change_and_end(presence: Presence = presence, turns: int = turns) -> None:
                until = time.monotonic() + DEADLINE
                while presence._notifications._listens is None or presence._using.locked():
                    assert time.monotonic() < until, "it does not listen"
                    await asyncio.sleep(0)
                presence._changed.set()
                for _ in range(turns):
                    await asyncio.sleep(0)
                await presence._stop_keeping()

            await presence._bridge.call(change_and_end)
            keeping = presence._keeping
            assert keeping is not None
            async with asyncio.timeout(DEADLINE):
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_end_of(keeping), presence._bridge._loop))


async def _end_of(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


async def test_a_calm_may_be_a_fraction_of_a_second(place: tuple[str, str]) -> None:
    connection = await asyncpg.connect(place[0])
    asked = await connection.prepare(sql("disturbed", "postlude"))
    assert [parameter.name for parameter in asked.get_parameters()] == ["float8"], "which no part is cut from"
    await connection.close()


async def test_many_processes_migrate_at_once(place: tuple[str, str]) -> None:
    stores = [PostgresStore(Location(place[0], schema="at_once", namespace="n")) for _ in range(8)]
    await asyncio.gather(*(store.open() for store in stores))
    assert await stores[0].count(Filter()) == {}
    await asyncio.gather(*(store.close() for store in stores))


async def test_a_database_that_is_not_there_is_named_without_the_password() -> None:
    store = PostgresStore(Location("postgresql://me:secret@127.0.0.1:1/nothing"))
    with pytest.raises(StoreUnavailable, match=r"me@127\.0\.0\.1:1/nothing") as raised:
        await store.open()
    assert "secret" not in str(raised.value)


async def test_a_server_is_spoken_for_in_each_namespace(place: tuple[str, str]) -> None:
    """One server may serve two applications, each with jobs of its own."""
    patience = Patience(second_look=0.0, calm=0.0)
    async with opened(place, patience) as store, opened((place[0], f"{place[1]}2"), patience) as other:
        assert await store.speaks_for("server")
        assert await other.speaks_for("server")


PATIENT = Patience(second_look=3600.0, calm=0.0)
"""Nobody is given up by the database's locks alone."""


async def test_a_process_of_this_machine_that_has_ended_is_dead_at_once(place: tuple[str, str]) -> None:
    async with opened(place, PATIENT) as store:
        with OtherProcess("#".join(place)) as other:
            other.do("enlist")
            staged_there = other.do("stage", 2)
            assert await store.orphans(limit=9) == []
        assert {str(orphan.job_id) for orphan in await store.orphans(limit=9)} == {*staged_there}
        (row,) = await rows(place[0], "SELECT fenced FROM postlude.workers WHERE namespace = " + number_of(place))
        assert row["fenced"]


async def test_a_process_that_has_lost_its_connection_is_not_dead(place: tuple[str, str]) -> None:
    async with opened(place, PATIENT) as store:
        with OtherProcess("#".join(place)) as other:
            worker = other.do("enlist")
            other.do("stage", 1)
            for pid in await backends(place[0], worker):
                await cut(place[0], pid)
            assert await store.orphans(limit=9) == []


@pytest.mark.parametrize("file", ["'another machine 1 2'", "NULL"])
async def test_a_process_of_another_machine_is_looked_at_twice(place: tuple[str, str], file: str) -> None:
    """NULL: it is of a release, or on a system, that has no such lock."""
    async with opened(place, PATIENT) as store:
        with OtherProcess("#".join(place)) as other:
            other.do("enlist")
            other.do("stage", 1)
            await put_elsewhere(place, file)
        assert await store.orphans(limit=9) == []


async def put_elsewhere(place: tuple[str, str], file: str = "NULL") -> None:
    """Have all workers seem to be on another machine."""
    await rows(place[0], f"UPDATE postlude.workers SET file = {file} WHERE namespace = {number_of(place)}")


async def rows(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


def number_of(place: tuple[str, str]) -> str:
    return f"(SELECT id FROM postlude.namespaces WHERE name = '{place[1]}')"


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    nearby = Nearby(folder)
    assert nearby.hold(7) is None
    assert not nearby.is_dead(8, nearby.file)
    assert not [*folder.iterdir()]
    nearby.close()
