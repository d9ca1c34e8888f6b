"""An attempt inside something that is opened before it and closed after it, such as a span."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from postlude.executors.contract import ending, failed, resolve
from postlude.job import Failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from postlude.executors.contract import Executor, Running, Work
    from postlude.job import Outcome

    Around = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]
    """Given the attempt as a function, runs it once, inside whatever it opens."""


class AroundExecutor:
    """Runs work where another executor runs it, inside `around`.

    The work sees the context variables that `around` sets, and `around` sees the exception that the work raises.
    """

    def __init__(self, executor: Executor, around: Around) -> None:
        self._executor = executor
        self._around = around

    def begin(self, work: Work, ended: Callable[[Outcome], None], /) -> Running:
        """Start the work; see `Executor.begin`."""
        running = AroundRunning()
        running.task = asyncio.get_running_loop().create_task(self._run(work, running, ended), context=work.context)
        return running

    async def _run(self, work: Work, running: AroundRunning, ended: Callable[[Outcome], None]) -> None:
        outcome: Outcome | None = None

        async def attempt() -> None:
            nonlocal outcome
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            running.begun(self._executor.begin(work._replace(context=copy_context()), partial(resolve, future)))
            outcome = await future
            if isinstance(outcome, Failed) and outcome.error is not None:
                raise outcome.error

        try:
            await self._around(attempt)
        except GeneratorExit:
            raise  # the loop is gone, and with it everybody who could be told
        except asyncio.CancelledError as error:
            if outcome is None and not running.stoppable:
                raise  # the loop ends, and the work goes on in its thread: its job stays with this process
            outcome = (ending() or failed(error)) if outcome is None else outcome
        except BaseException as error:  # noqa: BLE001 - the attempt's own exception comes back this way, and is known
            if outcome is None:
                outcome = failed(error)
            elif not isinstance(outcome, Failed):
                # The work is done: what is around it has failed, and that is no reason to call the work failed.
                message = f"what runs around {work.task} failed after it"
                asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
        if outcome is None:
            outcome = failed(RuntimeError(f"what runs around {work.task} never called the attempt that it was given"))
        ended(outcome)


class AroundRunning:
    """An attempt under way, or about to be."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self._inner: Running | None = None
        self._cancelled = False

    def begun(self, inner: Running) -> None:
        """The work itself has been started."""
        self._inner = inner
        if self._cancelled:
            inner.cancel()

    def ask_where(self, job_id: UUID) -> bool:
        """As the work does, if it runs in a child."""
        ask = getattr(self._inner, "ask_where", None)
        return ask is not None and bool(ask(job_id))

    @property
    def stoppable(self) -> bool:
        """As the work is."""
        return self._inner is None or self._inner.stoppable

    def cancel(self) -> None:
        """Ask the work to end, as soon as it has begun."""
        self._cancelled = True
        if self._inner is not None:
            self._inner.cancel()
