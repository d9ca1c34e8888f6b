"""The whole matrix of states and events: each cell is a transition, on the store too, or an error that says why not."""

import itertools
from collections.abc import Awaitable, Callable

import pytest

from postlude.errors import IllegalTransition
from postlude.job import TRANSITIONS, Claim, Event, JobState, NewJob, transition
from postlude.stores.contract import Store
from tests.stores.making import claim_all, claim_of, ended, queued, read, staged

S, E = JobState, Event
LEGAL = list(TRANSITIONS)
ILLEGAL = [cell for cell in itertools.product(JobState, Event) if cell not in TRANSITIONS]


def name(cell: tuple[JobState, Event]) -> str:
    return f"{cell[0]}-{cell[1]}"


def test_the_matrix_has_as_many_legal_cells_as_the_design() -> None:
    assert (len(LEGAL), len(ILLEGAL)) == (19, 35)


@pytest.mark.parametrize("cell", ILLEGAL, ids=name)
def test_an_illegal_cell_is_an_error_with_its_text(cell: tuple[JobState, Event]) -> None:
    state, event = cell
    with pytest.raises(IllegalTransition) as raised:
        transition(state, event)
    assert str(raised.value) == f"A job is {state.value}, and {event.value!r} is not possible then."
    assert (raised.value.state, raised.value.event) == cell


async def a_job(store: Store, owner: int, state: JobState) -> tuple[NewJob, Claim | None]:
    """A job that has come into this state, and its claim if it has one."""
    if state in {S.STAGED, S.RUNNING}:
        job = staged(owner)
        await store.insert([job])
        if state is S.RUNNING:
            await store.start([claim_of(job)], now=2.0)
        return job, claim_of(job)._replace(state=state, attempt=int(state is S.RUNNING), started_at=2.0)
    job = queued()
    await store.insert([job])
    if state is S.QUEUED:
        return job, None
    (claim,) = await claim_all(store, owner)
    await store.settle([ended(claim, {S.SUCCEEDED: E.SUCCEED, S.FAILED: E.FAIL, S.CANCELLED: E.CANCEL}[state])])
    return job, claim


@pytest.mark.parametrize("cell", LEGAL, ids=name)
async def test_a_legal_cell_on_the_store(store: Store, owner: int, cell: tuple[JobState, Event]) -> None:
    state, event = cell
    job, claim = await a_job(store, owner, state)
    assert (await read(store, job)).state is state
    if event is E.RETRY:
        await store.retry(job.id, now=9.0)
    elif state is S.QUEUED and event is E.CANCEL:
        await store.cancel(job.id, reason="asked", now=9.0)
    elif state is S.QUEUED:
        assert await claim_all(store, owner)
    elif event is E.START:
        assert claim
        assert not await store.start([claim], now=9.0)
    else:
        assert claim
        assert not await store.settle([ended(claim, event)])
    assert (await read(store, job)).state is TRANSITIONS[cell]


@pytest.mark.parametrize("cell", ILLEGAL, ids=name)
async def test_an_illegal_cell_on_the_store(store: Store, owner: int, cell: tuple[JobState, Event]) -> None:
    """It changes nothing: an error for people, a refusal for a worker whose claim is over."""
    state, event = cell
    job, claim = await a_job(store, owner, state)
    before = await read(store, job)
    refusal: dict[Event, Callable[[], Awaitable[object]]] = {
        E.RETRY: lambda: store.retry(job.id, now=9.0),
        E.CANCEL: lambda: store.cancel(job.id, reason="asked", now=9.0),
    }
    if event in refusal:
        with pytest.raises(IllegalTransition, match=f"Job {job.id} is {state.value}, and '{event.value}'"):
            await refusal[event]()
    elif event is E.START:
        assert await claim_all(store, owner, idle=True) == []
        if state is not S.RUNNING:
            assert await store.start([claim or claim_of(job._replace(owner=owner, claim=1))], now=9.0) == {job.id}
    elif claim is None or state.finished:
        stale = claim or claim_of(job._replace(owner=owner, claim=1))._replace(state=S.RUNNING)
        assert await store.settle([ended(stale, event)]) == {job.id}
    assert await read(store, job) == before
