"""Clauses 42 and 43: callers who add jobs in transactions of their own."""

from postlude.stores.callers import Outbox
from postlude.stores.contract import Store
from tests.stores.places import open_place


async def test_clause_42_an_outbox_is_known_to_whoever_opens_the_store_later(store: Store, url: str) -> None:
    assert await store.outboxes() == []
    outbox = Outbox("/srv/app.db", "sqlite3")
    assert await store.put_outbox(outbox) == outbox
    other = open_place(url)
    await other.open()
    assert await other.outboxes() == [outbox]
    await other.close()


async def test_clause_42_the_first_library_at_a_path_stays(store: Store) -> None:
    first = Outbox("/srv/app.db", "sqlite3")
    await store.put_outbox(first)
    assert await store.put_outbox(first._replace(library="apsw")) == first
    assert await store.put_outbox(Outbox("/srv/other.db", "apsw")) == Outbox("/srv/other.db", "apsw")
    assert sorted(await store.outboxes()) == [first, ("/srv/other.db", "apsw")]
