"""Work whose arguments have to be completed before it, and tidied up after it: by what it depends on."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from postlude.executors.contract import ended_by, ending, resolve
from postlude.job import Cancelled, Failed, Succeeded

if TYPE_CHECKING:
    from postlude.executors.contract import Executor, Running, Work
    from postlude.job import Outcome

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Complete = Callable[[tuple[Any, ...], Mapping[str, Any]], AbstractAsyncContextManager[Arguments]]
"""Given the arguments of a call, opens what gives it all of them; what is open is closed at exit."""


def completed(work: Work, complete: Complete) -> Work:
    """Work on the event loop that completes its own arguments, around the coroutine."""
    return work._replace(function=functools.partial(_around, complete, work.function))


async def _around(complete: Complete, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> object:
    async with complete(args, kwargs) as (all_args, all_kwargs):
        result: object = await function(*all_args, **all_kwargs)
    return result


class CompletedExecutor:
    """Runs functions where another executor runs them, between the two ends of `complete`, which are on the loop."""

    def __init__(self, executor: Executor, complete: Complete) -> None:
        self._executor = executor
        self._complete = complete

    def begin(self, work: Work, ended: Callable[[Outcome], None], /) -> Running:
        """Start the work; see `Executor.begin`."""
        running = CompletedRunning()
        running.task = asyncio.get_running_loop().create_task(self._run(work, running, ended), context=work.context)
        return running

    async def _run(self, work: Work, running: CompletedRunning, ended: Callable[[Outcome], None]) -> None:
        outcome: Outcome = Succeeded()
        try:
            running.begin()
            async with self._complete(work.args, work.kwargs) as (args, kwargs):
                outcome = await self._called(work._replace(args=args, kwargs=kwargs, context=copy_context()), running)
        except asyncio.CancelledError as error:
            if not running.stoppable:
                raise  # the loop ends, and the function goes on in its thread: its job stays with this process
            outcome = Cancelled("cancelled while it ran") if running.cancelled else ending() or ended_by(error)
        except GeneratorExit:
            raise  # the loop is gone, and with it everybody who could be told
        except BaseException as error:  # noqa: BLE001 - SystemExit in a task must end the attempt, not the server
            outcome = ended_by(error)
        ended(outcome)

    async def _called(self, work: Work, running: CompletedRunning) -> Outcome:
        """Run the function; whatever it raises is raised here, so that what it depends on sees it."""
        raised: list[BaseException] = []

        def call(*args: Any, **kwargs: Any) -> object:
            try:
                result: object = work.function(*args, **kwargs)
            except BaseException as error:
                raised.append(error)
                raise
            return result

        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        running.inner = self._executor.begin(work._replace(function=call), functools.partial(resolve, future))
        # From here on it is the function that is asked to end, and nobody cancels this: what it uses stays open.
        outcome = await future
        running.inner = None
        if raised:
            raise raised[0]
        if isinstance(outcome, Failed) and outcome.error is not None:
            raise outcome.error
        return outcome


class CompletedRunning:
    """A function under way, or what comes before or after it."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.cancelled: bool = False
        self.inner: Running | None = None
        self._begun = False

    def begin(self) -> None:
        """Its first step.

        Raises:
            asyncio.CancelledError: it was cancelled before that.
        """
        self._begun = True
        if self.cancelled:
            raise asyncio.CancelledError

    @property
    def stoppable(self) -> bool:
        """As the function is, while it runs."""
        return self.inner is None or self.inner.stoppable

    def cancel(self) -> None:
        """Ask the function to end while it runs; before and after it, end by itself."""
        self.cancelled = True
        if self.inner is not None:
            self.inner.cancel()
        elif self._begun:  # a task that is cancelled before its first step takes none, and could not say that it ended
            self.task.cancel()
