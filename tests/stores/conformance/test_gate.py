"""Clauses 63 and 64."""

import asyncio

import pytest

from postlude.stores.contract import Store
from postlude.stores.gate import AuditLine, Token
from tests.stores.places import open_place

LINK = Token("ab" * 32, "link", "act", "the terminal", created_at=100.0, expires_at=200.0)
SESSION = Token("cd" * 32, "session", "view", "nobody", created_at=110.0, expires_at=1000.0)


async def test_clause_63_a_token_is_found_until_it_expires(store: Store) -> None:
    await store.gate.add_token(SESSION)
    find = store.gate.token
    assert await find(SESSION.hash, kind="session", now=999.0) == SESSION
    assert await find(SESSION.hash, kind="session", now=1000.0) is None
    assert await find(SESSION.hash, kind="link", now=999.0) is None
    assert await find("ef" * 32, kind="session", now=999.0) is None


async def test_clause_63_a_link_is_used_once(url: str, store: Store) -> None:
    other = open_place(url)
    await other.open()
    await store.gate.add_token(LINK)
    sessions = [SESSION._replace(hash=f"{number:064x}") for number in range(6)]
    redeemed = await asyncio.gather(
        *(
            (store, other)[number % 2].gate.redeem(LINK.hash, session, now=150.0)
            for number, session in enumerate(sessions)
        )
    )
    (got,) = [session for session in redeemed if session is not None]
    assert got == SESSION._replace(hash=got.hash, role="act", who="the terminal")
    assert await other.gate.token(got.hash, kind="session", now=150.0) == got
    assert await store.gate.token(LINK.hash, kind="link", now=150.0) is None
    assert [await store.gate.token(each.hash, kind="session", now=150.0) for each in sessions].count(None) == 5
    await other.close()


async def test_clause_63_neither_an_expired_link_nor_a_session_is_redeemed(store: Store) -> None:
    await store.gate.add_token(LINK)
    await store.gate.add_token(SESSION)
    assert await store.gate.redeem(LINK.hash, SESSION._replace(hash="0"), now=200.0) is None
    assert await store.gate.redeem(SESSION.hash, SESSION._replace(hash="0"), now=150.0) is None


async def test_clause_63_expired_tokens_are_forgotten(store: Store) -> None:
    await store.gate.add_token(LINK)
    await store.gate.add_token(SESSION._replace(created_at=300.0))
    assert await store.gate.forget_tokens() == 1


async def test_clause_63_one_token_or_all(store: Store) -> None:
    for number in range(3):
        await store.gate.add_token(SESSION._replace(hash=f"{number}"))
    assert await store.gate.forget_tokens("1") == 1
    assert await store.gate.forget_tokens("1") == 0
    assert await store.gate.forget_tokens() == 2


async def test_clause_64_newest_first_and_page_by_page(store: Store) -> None:
    lines = [AuditLine(float(number), "anna", "act", "retry", f"job {number}", '{"n":1}') for number in range(5)]
    for line in lines:
        await store.gate.add_audit(line)
    first = await store.gate.audit(limit=3)
    rest = await store.gate.audit(limit=3, before=first[-1].number)
    assert [line._replace(number=0) for line in [*first, *rest]] == lines[::-1]
    assert await store.gate.audit(limit=3, before=rest[-1].number) == []


async def test_clause_64_so_many_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for driver in ("sqlite", "postgres"):
        monkeypatch.setattr(f"postlude.stores.{driver}.gate.LINES", 3)
    for number in range(6):
        await store.gate.add_audit(AuditLine(float(number), "anna", "act", "retry", f"job {number}"))
    assert [line.at for line in await store.gate.audit(limit=9)] == [5.0, 4.0, 3.0]
