"""The calls of one request: those in order run each after the success of the one before, the others beside them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from postlude.errors import StoreError
from postlude.executors.contract import resolve
from postlude.job import Cancelled, Failed, JobState, Succeeded
from postlude.running.attempts import Attempts
from postlude.running.execution import abandon, decide, release
from postlude.running.settling import Settling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from postlude.calls import Call
    from postlude.clock import Clock
    from postlude.job import Claim, Outcome, Settlement
    from postlude.running.places import Places
    from postlude.stores.contract import Store
    from postlude.telling import Events


async def run_all(attempts: Attempts, calls: Sequence[Call]) -> bool:
    """Run them all; returns whether those in order all succeeded."""
    ordered = [call for call in calls if call.options.ordered]
    others = [attempts.run(call) for call in calls if not call.options.ordered]
    in_order, _ = await asyncio.gather(run_in_order(attempts, ordered), asyncio.gather(*others))
    return in_order


async def run_without_store(store: Store, places: Places, clock: Clock, events: Events, calls: Sequence[Call]) -> bool:
    """Run calls that have no row on the current loop, and close the places; the store is not open, and never asked."""
    settling = Settling(store, events, lambda _: None)
    try:
        attempts = Attempts(store=store, owner=0, settling=settling, places=places, clock=clock, events=events)
        return await run_all(attempts, calls)
    finally:
        places.close()


async def leave_all(settling: Settling, calls: Sequence[Call], now: float) -> None:
    """Leave calls that are all stored to whoever claims them."""
    # What comes after another of them in order goes with that one.
    here = {call.id for call in calls if call.answered is None}
    for call in calls:
        if call.claim is not None and call.claim.after not in here:
            # A call with the same key may have queued it in the meantime.
            settling.put(release(call.claim, now), perhaps=call.needs_queue)
    await settling.flush()


async def run_in_order(attempts: Attempts, calls: Sequence[Call]) -> bool:
    """Run each call after the success of the one before, as the store has it too; returns whether all succeeded."""
    for position, call in enumerate(calls):
        behind = calls[position + 1 :]
        if call.answered is not None and await _has_succeeded(attempts, call.answered):
            continue
        outcome = await attempts.run(call, behind=behind)
        if not isinstance(outcome, Succeeded):
            attempts.endings.lost(behind, f"{call.definition.name}, which came before, did not succeed")
            if outcome is None or call.claim is None:
                await _leave_behind(attempts, behind, call, outcome)
            return False
    return True


async def _has_succeeded(attempts: Attempts, job_id: UUID) -> bool:
    """Whether the job that answers in place of a call has: else those behind the call come after it, in the queue."""
    try:
        return any(record.state is JobState.SUCCEEDED for record in await attempts.settling.store.get([job_id]))
    except StoreError:
        return False


async def _leave_behind(attempts: Attempts, calls: Sequence[Call], before: Call, outcome: Outcome | None) -> None:
    """Let go of calls that the store has not moved together with the one before them, so that none is kept for ever.

    That one had no row, or what it came to is not known to be on disk: then nearly always the store has moved them
    already, and nothing happens.
    """
    claim = next((call.claim for call in calls if call.claim is not None), None)
    if claim is not None:
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        settlement = _without(before, claim, outcome, attempts.clock.now())
        attempts.settling.put(settlement, partial(resolve, written), perhaps=True)
        await written  # those behind it follow in the same commit


def _without(before: Call, claim: Claim, outcome: Outcome | None, now: float) -> Settlement:
    """What becomes of a job when the call before it came to this."""
    if isinstance(outcome, Failed | Cancelled):
        reason = f"{before.definition.name}, before it in its chain, did not succeed, and was not stored"
        return decide(Cancelled(reason), claim, now)
    if claim.arguments is None:
        return abandon(claim, now, "what came before was not run to its end here, and it was not stored")
    return release(claim, now)
