"""What a running attempt is executing: found by its frames, on the loop and in threads."""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

from postlude.clock import SystemClock
from postlude.context import CurrentJob, enter
from postlude.executors.contract import Executor, Work, resolve
from postlude.executors.loop import LoopExecutor
from postlude.executors.threads import ThreadExecutor
from postlude.ids import new_job_id
from postlude.job import Outcome
from postlude.stacks import stack_of


def work_of(job_id: UUID, function: Callable[..., Any]) -> Work:
    context = contextvars.copy_context()
    context.run(enter, CurrentJob(job_id, "app:work", 1, None, None))
    return Work("app:work", function, (), {}, context)


async def while_it_runs(
    executor: Executor, function: Callable[..., Any], look: Callable[[UUID], Awaitable[None]]
) -> None:
    job_id = new_job_id()
    ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    running = executor.begin(work_of(job_id, function), partial(resolve, ended))
    await look(job_id)
    await ended
    del running
    assert stack_of(job_id) is None, "it has ended"


async def test_a_coroutine_is_where_it_awaits() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def inner() -> None:
        begun.set()
        await go_on.wait()  # here

    async def outer() -> None:
        await inner()

    async def look(job_id: UUID) -> None:
        await begun.wait()
        stack = stack_of(job_id) or ""
        assert stack.index("await inner()") < stack.index("await go_on.wait()  # here")
        assert "executors" not in stack
        assert stack_of(new_job_id()) is None
        go_on.set()

    await while_it_runs(LoopExecutor(SystemClock(), lambda *_: None), outer, look)


async def test_a_function_is_where_its_thread_is() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def outer() -> None:
        begun.set()
        go_on.wait()  # here

    async def look(job_id: UUID) -> None:
        await asyncio.to_thread(begun.wait)
        stack = stack_of(job_id) or ""
        assert "go_on.wait()  # here" in stack
        assert "executors" not in stack
        assert "while_it_runs" not in stack
        go_on.set()

    await while_it_runs(ThreadExecutor(2), outer, look)
