"""`retry_many`, `cancel_many` and `delete_many`: all that match, each once, and no faster than somebody wants."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from postlude import JobState, Postlude, task
from postlude.client.bulk import PORTION, Bulk
from postlude.errors import StoreUnavailable, UnknownValue
from postlude.testing import worker
from tests.face.conftest import Make

broken = True


@pytest.fixture(autouse=True)
def it_is_broken() -> Iterator[None]:
    global broken  # noqa: PLW0603 - what a retry finds mended
    broken = True
    yield
    broken = True


async def send(number: int) -> int:
    if broken:
        message = f"no answer for {number}"
        raise ConnectionError(message)
    return number


@task(keep_arguments=False)
async def send_secret(text: str) -> None:
    raise ConnectionError(text)


async def mend() -> None:
    global broken  # noqa: PLW0603
    broken = False


async def failed(durable: Postlude, w: Any, number: int) -> None:
    await durable.enqueue_many(send, [(n,) for n in range(number)])
    await w.run_pending()


async def states(durable: Postlude) -> dict[str, int]:
    return {state.value: number for state, number in (await durable.jobs.count()).items() if number}


async def test_all_failed_ones_are_retried_and_each_once(make: Make) -> None:
    """Also when they fail again at once: that is another failure, for another retry by hand."""
    app, durable = make()
    number = PORTION * 2 + 7
    told: list[tuple[int, int]] = []
    async with worker(app) as w:
        await failed(durable, w, number)
        assert await states(durable) == {"failed": number}
        assert await durable.jobs.retry_many(told=lambda done, of: told.append((done, of))) == Bulk(number, 0, None)
        assert told == [(PORTION, number), (PORTION * 2, number), (number, number)]
        await w.run_pending()
        assert await states(durable) == {"failed": number}
        assert {job.attempts for job in await durable.jobs.list(limit=1000)} == {2}
        await mend()
        assert (await durable.jobs.retry_many()).done == number
        await w.run_pending()
        assert await states(durable) == {"succeeded": number}


async def test_a_rate_spreads_them_in_the_order_in_which_they_were_added(make: Make) -> None:
    app, durable = make()
    async with worker(app) as w:
        await failed(durable, w, 10)
        await mend()
        assert (await durable.jobs.retry_many(rate="2/min")).done == 10
        first = w.now
        await w.run_pending()
        assert await states(durable) == {"queued": 9, "succeeded": 1}
        await w.advance(89)
        assert await states(durable) == {"queued": 7, "succeeded": 3}
        await w.run_all()
        jobs = sorted(await durable.jobs.list(), key=lambda job: job.result)
        due = [(job.run_at - first).total_seconds() for job in jobs if job.run_at]
        assert due == pytest.approx([30.0 * n for n in range(10)], abs=0.01)


async def test_only_those_that_match(make: Make) -> None:
    app, durable = make()
    async with worker(app) as w:
        await failed(durable, w, 3)
        await w.advance(3600)
        await failed(durable, w, 2)
        await durable.options(queue="slow").enqueue(send, 9)
        await w.run_pending()
        assert (await durable.jobs.retry_many(ended_since=timedelta(minutes=5), queue="default")).done == 2
        assert (await durable.jobs.retry_many(text="no answer for 2")).done == 1
        assert await states(durable) == {"queued": 3, "failed": 3}


async def test_what_is_not_possible_is_left_and_said(make: Make) -> None:
    app, durable = make()
    async with worker(app) as w:
        await failed(durable, w, 2)
        await durable.enqueue(send_secret, "x")
        await w.run_pending()
        done = await durable.jobs.retry_many()
        assert (done.done, done.left) == (2, 1)
        assert done.why is not None
        assert "erased" in done.why


async def test_cancelled_and_deleted(make: Make) -> None:
    app, durable = make()
    async with worker(app) as w:
        await failed(durable, w, 2)
        await durable.options(delay=60).enqueue_many(send, [(n,) for n in range(3)])
        assert (await durable.jobs.cancel_many(task=send, reason="the campaign is off")) == Bulk(3, 0, None)
        cancelled = await durable.jobs.list(state="cancelled")
        assert {job.reason for job in cancelled} == {"the campaign is off"}
        assert await states(durable) == {"failed": 2, "cancelled": 3}
        assert (await durable.jobs.delete_many(state="cancelled")).done == 3
        assert (await durable.jobs.delete_many()).done == 2
        assert await states(durable) == {}
        assert await durable.jobs.delete_many() == Bulk(0, 0, None)


async def test_what_makes_no_sense(make: Make) -> None:
    _, durable = make()
    for rate in ("fast", "0/min", "50"):
        with pytest.raises(UnknownValue, match=f'rate: expected such as "50/min", .*, got {rate!r}'):
            await durable.jobs.retry_many(rate=rate)
    with pytest.raises(UnknownValue, match=r"state: expected one or several of 'failed', 'cancelled', got .*succeeded"):
        await durable.jobs.retry_many(state=["failed", "succeeded"])
    with pytest.raises(UnknownValue, match=r"state: expected one or several of 'staged', 'queued', 'running', got"):
        await durable.jobs.cancel_many(state="failed")
    with pytest.raises(UnknownValue, match=r"expected one or several of 'succeeded', 'failed', 'cancelled', got"):
        await durable.jobs.delete_many(state=JobState.QUEUED)
    await durable.close()


async def test_what_the_store_does_not_confirm_is_raised(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app, durable = make()
    async with worker(app) as w:
        await failed(durable, w, 2)
        store = await durable._runtime.store()

        async def gone(*_: object, **__: object) -> None:
            raise StoreUnavailable("gone")

        monkeypatch.setattr(store, "retry", gone)
        with pytest.raises(StoreUnavailable):
            await durable.jobs.retry_many()


def test_without_await(make: Make) -> None:
    _, durable = make(worker="off")
    jobs = durable.blocking.jobs
    durable.blocking.enqueue_many(send, [(1,), (2,)])
    assert jobs.retry_many().done == 0
    assert jobs.cancel_many().done == 2
    assert jobs.delete_many().done == 2
