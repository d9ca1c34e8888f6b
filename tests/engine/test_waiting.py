"""Those who wait for jobs, on whichever event loops they do."""

import asyncio
import sys
import threading

import pytest

from postlude.client.jobs import Jobs
from postlude.client.waiting import Waiters
from postlude.errors import WaitTimeout
from postlude.ids import new_job_id
from postlude.job import JobState, Record
from tests.engine.conftest import Engine
from tests.engine.fakes import turns, until


async def nothing() -> None:
    pass


async def test_who_waits_by_the_id_of_a_call_that_was_answered_is_told_at_once(engine: Engine) -> None:
    """Settlements carry the id of the job that answers."""
    call = await engine.queue(nothing)
    running = (await engine.record(call))._replace(state=JobState.RUNNING)
    answered, reads = new_job_id(), 0
    waiters = Waiters(engine.clock)

    async def read() -> Record:
        nonlocal reads
        reads += 1
        return running

    waiting = asyncio.ensure_future(waiters.wait(answered, read, None))
    await until(lambda: reads)
    await turns()
    assert {answered, call.id} == {*waiters._waiters}
    assert reads == 2, "it may have ended before it was listened for"
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiters.nobody


async def test_several_loops_may_wait_for_one_job(engine: Engine) -> None:
    call = await engine.queue(nothing)
    record = await engine.record(call)

    async def opened() -> object:
        return store

    class Known:
        async def get(self, _: object) -> object:
            return [record]

    store = Known()
    jobs = Jobs(
        opened,  # type: ignore[arg-type]
        engine.clock,
        engine.registry,
        open_calls=tuple,
        relay=lambda: asyncio.sleep(0),
        changed=lambda _: None,
    )
    wrong: list[BaseException] = []

    async def wait_often() -> None:
        for _ in range(1500):
            with pytest.raises(WaitTimeout):
                await jobs.wait(call.id, timeout=0)

    def wait_in_thread() -> None:
        try:
            asyncio.run(wait_often())
        except BaseException as error:  # noqa: BLE001 - raised in the test
            wrong.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=wait_in_thread) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert jobs.waiters.nobody
