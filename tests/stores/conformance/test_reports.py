"""Clauses 38 to 40: what attempts say while they run, and what stays of it."""

import asyncio

import pytest

from postlude.job import Event, JobState, Progress, Report
from postlude.loglines import MAX_BYTES, MAX_LINES, LogLine
from postlude.stores.contract import Filter, Store
from tests.stores.making import claim_all, claim_of, ended, queued, read, staged


def line(message: str, attempt: int = 1) -> LogLine:
    return LogLine(5.0, "INFO", "app", message, attempt)


def lines(*messages: object) -> list[LogLine]:
    return [line(str(message)) for message in messages]


async def test_clause_38_what_is_not_in_a_report_stays(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    await store.report({claim: Report(Progress(3, 10, "three"), '{"page":3}')})
    await store.report({claim: Report(lines=lines("a"))})
    await store.report({claim: Report()})
    record = await read(store, job)
    assert (record.progress, record.saved) == (Progress(3, 10, "three"), '{"page":3}')
    await store.settle([ended(claim, Event.SUCCEED)])
    record = await read(store, job)
    assert (record.progress, record.saved) == (Progress(3, 10, "three"), '{"page":3}')


async def test_clause_38_a_report_that_was_handed_in_first_is_written_first(store: Store, owner: int) -> None:
    """Whatever way each of the two takes: what a task says last would be refused after its end."""
    jobs = [queued() for _ in range(10)]
    await store.insert(jobs)
    for claim in await claim_all(store, owner):
        reporting = asyncio.ensure_future(
            store.report({claim: Report(Progress(9, 9, None), lines=lines("last words"))})
        )
        settling = asyncio.ensure_future(store.settle([ended(claim, Event.SUCCEED)]))
        assert not any(await asyncio.gather(reporting, settling))
    for job in jobs:
        assert await store.logs(job.id) == lines("last words")
        assert (await read(store, job)).progress == Progress(9, 9, None)


async def test_clause_39_lines_of_reports_and_settlements_over_all_attempts(store: Store, owner: int) -> None:
    job, other = queued(), queued()
    await store.insert([job, other])
    claims = {claim.job_id: claim for claim in await claim_all(store, owner)}
    awkward = LogLine(1.5, "WARNING", "app.ü", 'quotes " and\nlines, 漢字 and \x07', 7)
    await store.report({claims[job.id]: Report(lines=lines("a", "b")), claims[other.id]: Report(lines=lines("x"))})
    await store.report({claims[job.id]: Report(lines=[awkward])})
    await store.settle([ended(claims[job.id], Event.POSTPONE, lines=lines("c"))])
    (claim,) = await claim_all(store, owner, now=30.0)
    await store.settle([ended(claim, Event.SUCCEED, lines=[line("d", 2)])])
    assert await store.logs(job.id) == [*lines("a", "b"), awkward, *lines("c"), line("d", 2)]
    assert await store.logs(other.id) == lines("x")
    assert await store.logs(queued().id) == []


@pytest.mark.parametrize("each", [1, 7, 400, MAX_LINES])
async def test_clause_39_the_last_lines_win(store: Store, owner: int, each: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    count = MAX_LINES + 3 * each
    for start in range(0, count, each):
        await store.report({claim: Report(lines=lines(*range(start, start + each)))})
    kept = [int(each.message) for each in await store.logs(job.id)]
    assert len(kept) == MAX_LINES
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert kept[-1] >= count - 1


async def test_clause_39_and_the_last_bytes(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    text = "ü" * 1000
    for number in range(100):
        await store.report({claim: Report(lines=lines(f"{number:02}{text}"))})
    kept = await store.logs(job.id)
    assert [each.message[:2] for each in kept] == [f"{number:02}" for number in range(100 - len(kept), 100)]
    assert MAX_BYTES - kept[0].size < sum(each.size for each in kept) <= MAX_BYTES


async def test_clause_5_a_report_under_another_claim_changes_nothing(store: Store, owner: int) -> None:
    job = queued()
    await store.insert([job])
    (late,) = await claim_all(store, owner)
    await store.settle([ended(late, Event.POSTPONE)])
    (claim,) = await claim_all(store, owner, now=30.0)
    assert await store.report({late: Report(Progress(1), "1", lines("late"))}) == {job.id}
    assert await store.settle([ended(late, Event.SUCCEED, lines=lines("late"))]) == {job.id}
    assert await store.report({claim: Report(lines=lines("a"))}) == frozenset()
    record = await read(store, job)
    assert (record.progress, record.saved, await store.logs(job.id)) == (None, None, lines("a"))


@pytest.mark.parametrize("event", [Event.POSTPONE, Event.RELEASE, Event.RESCUE])
async def test_clause_40_the_next_attempt_has_what_was_saved_last(store: Store, owner: int, event: Event) -> None:
    job = queued()
    await store.insert([job])
    (claim,) = await claim_all(store, owner)
    assert claim.saved is None
    for text in ("[1]", "[2]"):
        await store.report({claim: Report(saved=text)})
    for _ in range(2):
        await store.settle([ended(claim, event)])
        (claim,) = await claim_all(store, owner, now=30.0)
        assert claim.saved == "[2]"
    await store.settle([ended(claim, Event.FAIL)])
    await store.retry(job.id, now=31.0)
    (claim,) = await claim_all(store, owner, now=32.0)
    assert claim.saved == "[2]", "by hand too"


async def test_clause_40_a_staged_job_saves_too(store: Store, owner: int) -> None:
    job = staged(owner)
    await store.insert([job])
    assert await store.report({claim_of(job): Report(saved="1", lines=lines("a"))}) == frozenset()
    await store.settle([ended(claim_of(job), Event.RELEASE)])
    (claim,) = await claim_all(store, owner)
    assert (claim.saved, claim.state) == ("1", JobState.RUNNING)
    assert await store.logs(job.id) == lines("a")
    found = await store.list(Filter(), limit=5, before=None)
    assert [record.saved for record in found] == ["1"]
