"""Clause 65."""

from uuid import UUID

from postlude.ids import new_job_id
from postlude.job import Claim, Event, JobState, Progress, Report
from postlude.loglines import MAX_LINES, LogLine
from postlude.stores.contract import Store
from postlude.stores.watching import Glance
from tests.stores.making import FAILURE, claim_of, ended, queued, staged


def line(text: str) -> LogLine:
    return LogLine(2.0, "INFO", "app", text, 1)


async def glance(store: Store, job_id: UUID, seen: int | None = 0) -> Glance:
    (found,) = await store.glances({job_id: seen})
    return found


async def running(store: Store, owner: int) -> Claim:
    job = staged(owner)
    await store.insert([job])
    claim = claim_of(job)._replace(started_at=2.0)
    await store.start([claim], now=2.0)
    return claim


async def test_clause_65_what_has_become_of_each(store: Store, owner: int) -> None:
    claim, waits = await running(store, owner), queued()
    await store.insert([waits])
    await store.report({claim: Report(Progress(3, 10, "pages"), None, [line("one"), line("two")])})
    found = {each.id: each for each in await store.glances({claim.job_id: 0, waits.id: 0, new_job_id(): 0})}
    assert found.keys() == {claim.job_id, waits.id}
    seen = found[claim.job_id]
    assert (seen.state, seen.attempt, seen.progress) == (JobState.RUNNING, 1, Progress(3, 10, "pages"))
    assert (seen.lines, seen.last_line) == ([line("one"), line("two")], 2)
    assert (found[waits.id].state, found[waits.id].lines, found[waits.id].last_line) == (JobState.QUEUED, [], 0)
    assert await store.glances({}) == []


async def test_clause_65_how_it_ended(store: Store, owner: int) -> None:
    succeeds, fails = await running(store, owner), await running(store, owner)
    done = ended(succeeds, Event.SUCCEED)._replace(result='{"a":1}', lines=[line("last words")])
    await store.settle([done, ended(fails, Event.FAIL)._replace(failure=FAILURE, reason="no")])
    seen = await glance(store, succeeds.job_id)
    assert (seen.state, seen.result, seen.lines) == (JobState.SUCCEEDED, '{"a":1}', [line("last words")])
    seen = await glance(store, fails.job_id)
    assert (seen.state, seen.failure, seen.reason, seen.result) == (JobState.FAILED, FAILURE, "no", None)


async def test_clause_65_the_lines_behind_one(store: Store, owner: int) -> None:
    claim = await running(store, owner)
    await store.report({claim: Report(lines=[line("1"), line("2"), line("3")])})
    await store.report({claim: Report(lines=[line("4"), line("5")])})
    assert [each.message for each in (await glance(store, claim.job_id, 1)).lines] == ["2", "3", "4", "5"]
    assert [each.message for each in (await glance(store, claim.job_id, 4)).lines] == ["5"]
    for seen in (5, 6):
        found = await glance(store, claim.job_id, seen)
        assert (found.lines, found.last_line) == ([], seen)
    assert (await glance(store, claim.job_id, None)).lines == []


async def test_clause_65_lines_that_are_gone_keep_their_numbers(store: Store, owner: int) -> None:
    claim = await running(store, owner)
    for start in range(0, MAX_LINES * 2, 500):
        await store.report({claim: Report(lines=[line(str(n)) for n in range(start, start + 500)])})
    found = await glance(store, claim.job_id)
    assert found.last_line == MAX_LINES * 2
    assert [int(each.message) for each in found.lines[-MAX_LINES:]] == list(range(MAX_LINES, MAX_LINES * 2))
