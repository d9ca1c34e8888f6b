"""Connections that are cut, stuck or dead without a word: nothing waits for long, and nobody is taken for dead."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest

from postlude.errors import StoreUnavailable
from postlude.job import Event, JobState
from postlude.stores.contract import Filter
from postlude.stores.postgres import PostgresStore, connecting, searching, writing
from postlude.stores.postgres.location import Location
from postlude.stores.postgres.presence import Patience
from postlude.stores.postgres.session import Session
from tests.stores.cluster import Cluster, cluster
from tests.stores.making import claim_of, ended, queued, read, staged
from tests.stores.places import new_namespace
from tests.stores.proxy import Proxy

DEADLINE = 20.0
CONNECTIONS_OF = "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = $1"


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def proxy(place: Cluster) -> Iterator[Proxy]:
    with Proxy(place.socket) as proxy:
        yield proxy


@pytest.fixture
def namespace() -> str:
    return new_namespace("").removeprefix("#")


@asynccontextmanager
async def opened(dsn: str, namespace: str, patience: Patience) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(Location(dsn, namespace=namespace), patience=patience)
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def working(dsn: str, namespace: str, patience: Patience) -> AsyncIterator[tuple[PostgresStore, int]]:
    """With a worker that owns a job."""
    async with opened(dsn, namespace, patience) as store:
        owner = await store.enlist()
        await store.insert([staged(owner)])
        yield store, owner
        with suppress(StoreUnavailable):
            await store.dismiss(owner)


async def holders(place: Cluster, worker: int) -> list[int]:
    """The server's processes that hold the lock of a worker."""
    connection = await asyncpg.connect(place.dsn)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted "
            "AND (classid::bigint << 32) | objid::bigint = $1",
            worker,
        )
        return [row["pid"] for row in rows]
    finally:
        await connection.close()


async def given_up(other: PostgresStore, seconds: float) -> bool:
    """Whether it finds a dead worker within that time, looking all the time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if await other.orphans(limit=9):
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("how", ["cut", "drop"])
async def test_a_worker_whose_connection_breaks_while_it_is_well_keeps_its_jobs(
    how: str, place: Cluster, proxy: Proxy, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the server does not know that it broke, and holds the lock for nobody."""
    monkeypatch.setattr(connecting, "DIRECT_WITHIN", 0.5)
    mine = Patience(lease=30.0, extend_every=0.2, second_look=1.0, calm=0.0)
    async with (
        working(proxy.dsn, namespace, mine) as (store, owner),
        opened(place.dsn, namespace, Patience(second_look=1.0, calm=0.0)) as other,
    ):
        before = await holders(place, owner)
        assert len(before) == 1
        getattr(proxy, how)()
        until = time.monotonic() + DEADLINE
        while (now := await holders(place, owner)) in ([], before):
            assert time.monotonic() < until, "it did not take its lock again"
            assert await other.orphans(limit=9) == []
        assert len(now) == 1
        assert not await given_up(other, 1.5)
        with suppress(StoreUnavailable):  # which the connections of the pool are, too; the next one is new
            await ask(store, within=0.1)


async def ask(store: PostgresStore, *, within: float) -> None:
    """Anything, on a connection of the pool."""
    now = store._now()
    await now.bridge.call(lambda: now.with_session(lambda session: session.value("up_for", 0.0), within=within))


async def test_a_process_under_load_has_no_more_connections_than_are_written_down(
    place: Cluster, namespace: str
) -> None:
    """`docs/connections.md`: five and the direct one, whatever is asked at the same time."""
    watching = await asyncpg.connect(place.dsn)

    async def there() -> set[int]:
        return {*(await watching.fetchval(CONNECTIONS_OF, f"postlude {os.getpid()}") or ())}

    before = await there()  # of which the server does not know yet that they broke
    async with opened(place.dsn, namespace, Patience(calm=0.0, extend_every=0.05)) as store:
        owner = await store.enlist()
        store.listen(lambda _: None)

        async def work() -> None:
            for _ in range(5):
                jobs = [staged(owner) for _ in range(20)]
                await asyncio.gather(*(store.insert([job]) for job in jobs))
                store.notify("queued")
                await asyncio.gather(
                    store.count(Filter()),
                    store.list(Filter(), limit=50, before=None),
                    store.seeing.workers(),
                    store.orphans(limit=9),
                    store.claim(owner=owner, tasks=["app:work"], limit=1, now=1.0, idle=True),
                    *(store.settle([ended(claim_of(job), Event.SUCCEED)]) for job in jobs),
                )

        load = asyncio.gather(*(work() for _ in range(4)))
        seen = []
        while not load.done():
            seen.append(len(await there() - before))
        await load
        seen.append(len(await there() - before))
        await store.dismiss(owner)
    await watching.close()
    assert max(seen) == connecting.CONNECTIONS + 1 == 6, "all of them were wanted"


async def test_who_does_not_answer_is_not_waited_for(proxy: Proxy, namespace: str) -> None:
    async with opened(proxy.dsn, namespace, Patience(calm=0.0)) as store:
        job = queued()
        await store.insert([job])
        now = store._now()
        proxy.stall()
        begin = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"no answer for 0\.3 s"):
            await now.bridge.call(lambda: now.with_session(lambda session: session.value("state", job.id), within=0.3))
        assert time.monotonic() - begin < 3
        proxy.go_on()
        assert (await read(store, job)).id == job.id


@pytest.mark.soak
async def test_no_operation_waits_as_long_as_a_lease(proxy: Proxy, namespace: str) -> None:
    async with opened(proxy.dsn, namespace, Patience(calm=0.0)) as store:
        await store.insert([queued()])
        proxy.stall()
        begin = time.monotonic()
        answers = await asyncio.gather(*(store.insert([queued()]) for _ in range(9)), return_exceptions=True)
        late = [asyncio.ensure_future(store.insert([queued()])) for _ in range(9)]
        answers += await asyncio.gather(*late, return_exceptions=True)
        assert all(isinstance(answer, StoreUnavailable) for answer in answers)
        assert time.monotonic() - begin < 2 * 30.0
        proxy.go_on()
        await store.insert([queued()])


async def test_a_connection_that_died_while_nobody_used_it_is_replaced(proxy: Proxy, namespace: str) -> None:
    async with opened(proxy.dsn, namespace, Patience(calm=0.0)) as store:
        await store.insert([queued()])
        proxy.drop()
        with pytest.raises(StoreUnavailable):
            await ask(store, within=0.3)
        await store.insert([queued()])
        assert sum((await store.count(Filter())).values()) == 2


async def test_the_kernel_watches_each_tcp_connection(proxy: Proxy, namespace: str) -> None:
    async with opened(proxy.dsn, namespace, Patience(calm=0.0)) as store:
        opened_now = store._open
        assert opened_now is not None

        async def watched(session: object) -> int:
            wire = session.connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            on: int = wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            return on

        assert await store._do(watched)
        assert (
            await store._do(lambda session: session.connection.fetchval("SHOW idle_in_transaction_session_timeout"))
            == "20s"
        )


async def test_an_outage_longer_than_a_lease_is_nobodys_death(namespace: str) -> None:
    """No lease could be extended while the server was away; whoever is back first must not bury all the others."""
    short = {"lease": 0.5, "second_look": 0.0, "calm": 3.0}
    with cluster() as place:
        async with (
            working(place.dsn, namespace, Patience(extend_every=0.1, **short)),
            opened(place.dsn, namespace, Patience(extend_every=3600.0, **short)) as other,
        ):
            assert await other.orphans(limit=9) == []
            place.stop("fast")
            await asyncio.sleep(1.0)  # two leases
            place.start()
            until = time.monotonic() + DEADLINE
            while True:
                try:
                    assert await other.orphans(limit=9) == []
                    break
                except StoreUnavailable:
                    assert time.monotonic() < until
            assert not await given_up(other, 4.0)


async def test_what_people_ask_for_leaves_connections_for_the_rest(
    place: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many count millions of jobs at once, and however long that takes."""

    async def slow(session: Session, _: Filter) -> dict[JobState, int]:
        await session.connection.execute("SELECT pg_advisory_lock_shared(5)")
        await session.connection.execute("SELECT pg_advisory_unlock_shared(5)")
        return {}

    monkeypatch.setattr(searching, "count", slow)
    connection = await asyncpg.connect(place.dsn)
    await connection.execute("SELECT pg_advisory_lock(5)")
    async with opened(place.dsn, namespace, Patience()) as store:
        counts = [asyncio.ensure_future(store.count(Filter())) for _ in range(connecting.CONNECTIONS + 1)]
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass
        job = queued()
        async with asyncio.timeout(connecting.LENT_WITHIN):
            await store.insert([job])
            assert (await read(store, job)).id == job.id
        await connection.close()
        assert await asyncio.gather(*counts) == [{}] * len(counts)


async def test_what_is_short_has_a_connection_whatever_else_takes_long(
    place: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a rescue settles hundreds, people search, and what is added waits for a lock."""

    async def slow(session: Session, *_: object) -> list[None]:
        await session.connection.execute("SELECT pg_advisory_lock_shared(5)")
        await session.connection.execute("SELECT pg_advisory_unlock_shared(5)")
        return [None]

    async with opened(place.dsn, namespace, Patience()) as store:
        owner, job = await store.enlist(), queued()
        await store.insert([job])
        connection = await asyncpg.connect(place.dsn)
        await connection.execute("SELECT pg_advisory_lock(5)")
        long: list[asyncio.Future[object]] = []
        with monkeypatch.context() as patch:
            patch.setattr(searching, "count", slow)
            patch.setattr(writing, "insert", slow)
            patch.setattr(writing, "Settle", lambda _: slow)
            for begin in (adds(store), adds(store), store.settle([]), store.count(Filter())):
                long.append(asyncio.ensure_future(begin))
                async with asyncio.timeout(DEADLINE):
                    while await connection.fetchval(HELD_UP) < len(long):  # noqa: ASYNC110 - the server tells nobody
                        await asyncio.sleep(0.01)
        try:
            async with asyncio.timeout(connecting.LENT_WITHIN):
                taken = await store.claim(owner=owner, tasks=[job.task], limit=1, now=job.run_at + 1, idle=True)
                assert await store.settle([ended(claim, Event.SUCCEED) for claim in taken.claims]) == frozenset()
        finally:
            await connection.close()
            await asyncio.gather(*long)


async def adds(store: PostgresStore) -> object:
    return await store.insert([queued()])


HELD_UP = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def test_what_ends_does_not_wait_behind_a_long_settlement(place: Cluster, namespace: str) -> None:
    """As a rescue of hundreds is one, while attempts end."""
    async with opened(place.dsn, namespace, Patience()) as store:
        jobs = [staged(await store.enlist()) for _ in range(2)]
        await store.insert(jobs)
        long, quick = ([ended(claim_of(job), Event.SUCCEED)] for job in jobs)
        other = await asyncpg.connect(place.dsn)
        try:
            async with other.transaction():
                await other.execute("SELECT FROM postlude.jobs WHERE id = $1 FOR UPDATE", jobs[0].id)
                under_way = asyncio.ensure_future(store.settle(long))
                async with asyncio.timeout(DEADLINE):
                    while not await other.fetchval(WAITING):  # noqa: ASYNC110 - the server tells nobody of it
                        await asyncio.sleep(0.01)
                    assert await store.settle(quick) == frozenset()
                assert not under_way.done()
            assert await under_way == frozenset()
        finally:
            await other.close()


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%jobs%'"
