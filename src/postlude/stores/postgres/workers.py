"""Workers: their rows, and which of them are dead."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postlude.stores.postgres.rows import orphan_of
from postlude.stores.postgres.seeing import bury as buried

if TYPE_CHECKING:
    from collections.abc import Collection

    import asyncpg

    from postlude.job import Claim
    from postlude.stores.postgres.fronts import Allowance
    from postlude.stores.postgres.presence import Patience, Presence
    from postlude.stores.postgres.session import Session
    from postlude.stores.postgres.unconfirmed import Unconfirmed


async def enlist(session: Session, worker: int, lease: float, file: str | None) -> None:
    """Write a worker's row; `file`: where it has a lock of this machine's operating system, too."""
    await session.do("enlist", worker, session.namespace, os.uname().nodename, os.getpid(), lease, file)


@dataclass(frozen=True, slots=True)
class Mourning:
    """How the dead are told from the living.

    Args:
        presence: the workers of this process.
        patience: when a silence means something.
        thorough: for looks at the claims themselves, which take long while a transaction is open for long.
    """

    presence: Presence
    patience: Patience
    thorough: Allowance


async def orphans(session: Session, mourning: Mourning, unconfirmed: Unconfirmed, limit: int) -> list[Claim]:
    """The claims of dead workers, and those of living ones that do not know of them (clause 18)."""
    if lost := await unconfirmed.orphans(session, mourning.presence.workers, limit):
        return lost
    dead = await _dead(session, mourning)
    if not dead:
        return []
    return [orphan_of(row) for row in await session.rows("claims_of", session.namespace, list(dead), limit)]


async def bury(session: Session, mourning: Mourning) -> int:
    """Remove the rows of dead workers that own no job any more (clause 19)."""
    dead = await _dead(session, mourning)
    return await buried(session, dead) if dead else 0


async def _dead(session: Session, mourning: Mourning) -> Collection[int]:
    """Those who are given up for dead from now on: none of them can extend its lease any more."""
    presence, patience = mourning.presence, mourning.patience
    thoroughly = mourning.thorough.is_left()
    found = await _owners(session, mourning.thorough, thoroughly=thoroughly)
    owners = [row for row in found if row["id"] not in presence.workers]
    if not owners:
        return ()
    gone = {row["id"] for row in owners if row["fenced"]}
    if not await presence.is_calm() or not await session.value("up_for", patience.calm):
        # The others may be on their way back, too; while the server was away no lease could be extended.
        presence.suspicion.confirmed((), patience.second_look)
        return gone
    gone |= await _ended_here(session, presence, [row for row in owners if not row["fenced"]])
    passed = [row["id"] for row in owners if row["expired"] and row["id"] not in gone]
    if passed:
        gone |= {row["id"] for row in await session.rows("fence_expired", passed)}
    left = {row["id"] for row in owners} - gone
    # Who has no row is seen by thorough looks alone, and there may be many others between two of them.
    asked = None if thoroughly else {row["id"] for row in owners}
    silent = presence.suspicion.confirmed(left - await _held(session), patience.second_look, asked)
    if silent:
        await session.do("fence", list(silent))
    return gone | silent


async def _ended_here(session: Session, presence: Presence, owners: Collection[asyncpg.Record]) -> set[int]:
    """Those whose process on this machine has ended, which takes no second look."""
    silent = {row["id"] for row in owners if presence.nearby.is_dead(row["id"], row["file"])}
    # The two agree but where two machines pass for one, as when both were made from one image of memory.
    ended = silent - await _held(session) if silent else silent
    if ended:
        await session.do("fence", list(ended))
    return ended


async def _owners(session: Session, thorough: Allowance, *, thoroughly: bool) -> list[asyncpg.Record]:
    begin = thorough.clock()
    try:
        return await session.rows("owners", session.namespace, thoroughly)
    finally:
        # Also one that was cut off because it took too long.
        if thoroughly:
            thorough.spend(thorough.clock() - begin)


async def _held(session: Session) -> set[int]:
    return {row["id"] for row in await session.rows("held_locks")}
