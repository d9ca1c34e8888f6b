"""Clauses 54 to 57."""

import json
from typing import NamedTuple

import pytest

from postlude.errors import UnknownValue
from postlude.ids import job_id_at, new_token
from postlude.job import Event, Failure, JobState, NewJob, Record, Terms
from postlude.stores.contract import Filter, Store
from postlude.stores.searching import SKEW, Found, Tally
from tests.stores.making import claim_of, ended, keyed, queued, staged

S = JobState
START = 1_700_000_000.0
STEP = 100.0
"""Seconds between the moments at which two jobs were created: more than the skew."""


def at(job: NewJob, moment: float) -> NewJob:
    """The same, created at that moment."""
    return job._replace(id=job_id_at(int(moment * 1e9), new_token()), created_at=moment)


class Shelf(NamedTuple):
    """Some jobs, oldest first, and what became of them."""

    jobs: list[NewJob]
    states: dict[NewJob, JobState]

    def that(self, **wanted: object) -> list[NewJob]:
        """Those that have these, newest first."""
        return [
            job for job in reversed(self.jobs) if all(getattr(job, name) == value for name, value in wanted.items())
        ]


@pytest.fixture
async def shelf(store: Store, owner: int) -> Shelf:
    """Sixty jobs: of two tasks and queues, of every state but running."""
    states: dict[NewJob, JobState] = {}
    ends = (S.SUCCEEDED, S.FAILED, S.QUEUED, S.STAGED, S.CANCELLED)
    for number in range(60):
        state = ends[number % 5]
        task, terms = ("app:even", "app:odd")[number % 2], Terms("mail" if number % 3 == 0 else "default")
        make = queued(task, run_at=1e10) if state is S.QUEUED else staged(owner, task)
        job = make._replace(terms=terms, arguments=json.dumps({"args": [f"Number {number}"]}))
        states[at(job, START + STEP * number)] = state
    jobs = list(states)
    await store.insert(jobs)
    events = {S.SUCCEEDED: Event.SUCCEED, S.FAILED: Event.FAIL, S.CANCELLED: Event.CANCEL}
    await store.settle(
        [ended(claim_of(job), events[state], at=job.created_at + 7) for job, state in states.items() if state.finished]
    )
    return Shelf(jobs, states)


async def all_pages(
    store: Store, wanted: Filter, *, limit: int = 4, look: int = 7, newer: bool = False
) -> list[Record]:
    """Everything from one end to the other, nearest first."""
    found: list[Record] = []
    place = None
    for _ in range(200):
        page = await store.searching.search(wanted, limit=limit, place=place, newer=newer, look=look)
        assert len(page.records) <= limit
        found += page.records[::-1] if newer else page.records
        place = page.newer if newer else page.older
        if place is None:
            return found
    pytest.fail("it has no end")


FILTERS = [
    Filter(),
    Filter(frozenset({S.SUCCEEDED})),
    Filter(frozenset({S.QUEUED})),
    Filter(frozenset({S.STAGED})),
    Filter(frozenset({S.FAILED, S.CANCELLED})),
    Filter(frozenset({S.QUEUED, S.STAGED, S.FAILED})),
    Filter(frozenset(S)),
    Filter(task="app:odd"),
    Filter(task="no:such"),
    Filter(queue="mail"),
    Filter(frozenset({S.FAILED, S.SUCCEEDED}), "app:even", queue="default"),
    Filter(since=START + 10 * STEP),
    Filter(until=START + 10 * STEP),
    Filter(since=START + 10 * STEP, until=START + 20 * STEP),
    Filter(frozenset({S.FAILED}), since=START + 10 * STEP, until=START + 40 * STEP),
    Filter(ended_since=START + 30 * STEP),
    Filter(frozenset({S.FAILED}), ended_since=START + 30 * STEP),
    Filter(text="number 1"),
    Filter(text="VALUEERROR"),
    Filter(text="asked"),
    Filter(text="%"),
]


def matches(wanted: Filter, job: NewJob, state: JobState) -> bool:
    finished = job.created_at + 7 if state.finished else None
    said = {S.FAILED: "valueerror: no", S.CANCELLED: "asked"}.get(state, "")
    return (
        (not wanted.states or state in wanted.states)
        and wanted.task in {None, job.task}
        and wanted.queue in {None, job.terms.queue}
        and (wanted.since is None or job.created_at >= wanted.since)
        and (wanted.until is None or job.created_at < wanted.until)
        and (wanted.ended_since is None or (finished is not None and finished >= wanted.ended_since))
        and (wanted.text is None or wanted.text.lower() in f"{job.arguments} {said}".lower())
    )


@pytest.mark.parametrize("newer", [False, True], ids=["older", "newer"])
async def test_clause_55_every_job_once(store: Store, shelf: Shelf, newer: bool) -> None:
    for wanted in FILTERS:
        expected = [job.id for job in reversed(shelf.jobs) if matches(wanted, job, shelf.states[job])]
        found = [record.id for record in await all_pages(store, wanted, newer=newer)]
        assert found == (expected[::-1] if newer else expected), wanted


async def test_clause_21_list_by_every_filter(store: Store, shelf: Shelf) -> None:
    for wanted in FILTERS:
        expected = [job.id for job in reversed(shelf.jobs) if matches(wanted, job, shelf.states[job])]
        assert [record.id for record in await store.list(wanted, limit=100, before=None)] == expected, wanted
        later = await store.list(wanted, limit=100, before=shelf.jobs[40].id)
        assert [record.id for record in later] == [job for job in expected if job < shelf.jobs[40].id], wanted


async def test_clause_54_no_more_than_that_many_are_looked_at(store: Store, shelf: Shelf) -> None:
    page = await store.searching.search(Filter(task="no:such"), limit=5, look=20)
    assert page.records == []
    assert page.older is not None
    assert page.newer is None
    page = await store.searching.search(Filter(task="no:such"), limit=5, look=20, place=page.older)
    assert page.older is not None
    page = await store.searching.search(Filter(task="no:such"), limit=5, look=20, place=page.older)
    assert page.older is None
    one = await store.searching.search(Filter(text="Number 37"), limit=5, look=60)
    assert [record.id for record in one.records] == [shelf.jobs[37].id]
    assert one.older is None


async def test_clause_54_there_and_back(store: Store, shelf: Shelf) -> None:
    search = store.searching.search
    first = await search(Filter(), limit=10)
    second = await search(Filter(), limit=10, place=first.older)
    third = await search(Filter(), limit=10, place=second.older)
    assert ids(first) + ids(second) + ids(third) == [job.id for job in shelf.that()][:30]
    for wanted in (Filter(), Filter(since=START)):
        whole = await search(wanted, limit=60)
        page = await search(wanted, limit=5, place=whole.places[9])
        assert (page.records, page.places) == (whole.records[10:15], whole.places[10:15])
        page = await search(wanted, limit=5, place=whole.places[9], newer=True)
        assert (page.records, page.places) == (whole.records[4:9], whole.places[4:9])
    back = await search(Filter(), limit=10, place=third.newer, newer=True)
    assert ids(back) == ids(second)
    again = await search(Filter(), limit=10, place=back.older)
    assert ids(again) == ids(third)
    front = await search(Filter(), limit=10, place=back.newer, newer=True)
    assert ids(front) == ids(first)
    assert front.newer is None


async def test_clause_54_an_empty_page_leads_back(store: Store, shelf: Shelf) -> None:
    search, wanted = store.searching.search, Filter(text="Number 59")
    first = await search(wanted, limit=10, look=5)
    assert ids(first) == [shelf.jobs[59].id]
    empty = await search(wanted, limit=10, look=5, place=first.older)
    assert ids(empty) == []
    back = await search(wanted, limit=10, look=6, place=empty.newer, newer=True)
    assert ids(back) == ids(first)


async def test_clause_55_whatever_is_added_meanwhile(store: Store, shelf: Shelf) -> None:
    first = await store.searching.search(Filter(), limit=10)
    await store.insert([at(queued(), START + 1000 * STEP)])
    await store.delete(shelf.jobs[59].id)
    second = await store.searching.search(Filter(), limit=10, place=first.older)
    assert ids(first) + ids(second) == [job.id for job in shelf.that()][:20]


async def test_clause_55_by_key_and_by_chain(store: Store, owner: int) -> None:
    one, other = keyed("Anna"), keyed("Otto")
    await store.insert([one, other, queued()])
    assert [record.id for record in await all_pages(store, Filter(key="Anna"))] == [one.id]
    assert await all_pages(store, Filter(key="anna")) == []
    chain = staged(owner)._replace(chain=(chained := queued()).id, id=chained.id)
    await store.insert([chain, staged(owner, after=chain)])
    assert len(await all_pages(store, Filter(chain=chain.id), limit=1)) == 2
    assert [record.id for record in await all_pages(store, Filter(frozenset({S.STAGED}), chain=chain.id), limit=1)]


async def test_clause_57_the_moment_in_the_id_may_be_off_a_little(store: Store) -> None:
    early, late = at(queued(), START - SKEW + 1), at(queued(), START + SKEW - 1)
    await store.insert([early._replace(created_at=START), late._replace(created_at=START)])
    found = await all_pages(store, Filter(since=START, until=START + 1))
    assert [record.id for record in found] == [late.id, early.id]


async def test_a_text_in_arguments_failure_and_reason(store: Store, owner: int) -> None:
    texts = ["Größe", 'a "quoted" word', "back\\slash", "100%", "snake_case", "two\nlines"]
    expected = {}
    for text in texts:
        arguments = queued(arguments=json.dumps({"args": [text]}, ensure_ascii=False), run_at=1e10)
        failed, cancelled = staged(owner), staged(owner)
        await store.insert([arguments, failed, cancelled])
        await store.settle(
            [
                ended(claim_of(failed), Event.FAIL, failure=Failure("E", f"so {text} it", ""), reason=None),
                ended(claim_of(cancelled), Event.CANCEL, reason=f"so {text} it"),
            ]
        )
        expected[text] = {arguments.id, failed.id, cancelled.id}
    for text in texts:
        assert {record.id for record in await all_pages(store, Filter(text=text))} == expected[text]


async def test_clause_54_a_place_of_nowhere(store: Store) -> None:
    for place in ("", "s", "x12", "szz", "s-1", "i12", f"s{2**70:x}"):
        with pytest.raises(UnknownValue, match="Expected a place"):
            await store.searching.search(Filter(), limit=1, place=place)


async def test_clause_56_counts(store: Store, shelf: Shelf) -> None:
    for wanted in FILTERS:
        expected: dict[JobState, int] = {}
        for job in shelf.jobs:
            if matches(wanted, job, shelf.states[job]):
                expected[shelf.states[job]] = expected.get(shelf.states[job], 0) + 1
        assert await store.searching.tally(wanted) == Tally(expected), wanted
        assert await store.count(wanted) == expected, wanted


async def test_clause_56_up_to_a_number(store: Store, shelf: Shelf) -> None:
    tally = store.searching.tally
    everything = await tally(Filter(), most=11)
    assert everything == Tally(
        dict.fromkeys((S.STAGED, S.QUEUED, S.SUCCEEDED, S.FAILED, S.CANCELLED), 11), everything.more
    )
    assert everything.more == {S.STAGED, S.QUEUED, S.SUCCEEDED, S.FAILED, S.CANCELLED}
    assert await tally(Filter(), most=12) == Tally(dict.fromkeys(everything.counts, 12))
    assert await tally(Filter(frozenset({S.FAILED})), most=3) == Tally({S.FAILED: 3}, frozenset({S.FAILED}))
    assert await tally(Filter(frozenset({S.SUCCEEDED})), most=3) == Tally({S.SUCCEEDED: 3}, frozenset({S.SUCCEEDED}))
    seen = await tally(Filter(task="app:odd"), look=10)
    assert sum(seen.counts.values()) == 5
    assert seen.more == frozenset(S)


def ids(page: Found) -> list[object]:
    return [record.id for record in page.records]
