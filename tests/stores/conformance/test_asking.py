"""Clause 70."""

from postlude.stores.asking import STALE
from postlude.stores.contract import Store
from tests.stores.making import queued, staged


async def test_clause_70_whoever_owns_the_job_is_asked_until_it_has_answered(store: Store) -> None:
    one, other = await store.enlist(), await store.enlist()
    mine, theirs, nobodys = staged(one), staged(other), queued()
    await store.insert([mine, theirs, nobodys])
    for job in (mine, theirs, nobodys):
        await store.asking.ask(job.id, now=10.0)
    await store.asking.ask(mine.id, now=11.0)
    assert await store.asking.asked(one) == {mine.id}
    assert await store.asking.asked(other) == {theirs.id}
    await store.asking.answered([mine.id, nobodys.id])
    assert await store.asking.asked(one) == frozenset()
    assert await store.asking.asked(other) == {theirs.id}


async def test_clause_70_what_nobody_took_notice_of_is_forgotten(store: Store) -> None:
    owner = await store.enlist()
    old, new = staged(owner), staged(owner)
    await store.insert([old, new])
    await store.asking.ask(old.id, now=10.0)
    await store.asking.ask(new.id, now=11.0 + STALE)
    assert await store.asking.asked(owner) == {new.id}
