"""`async def` tasks: each in an asyncio task of its own on the server's event loop."""

from __future__ import annotations

import asyncio
import types
from typing import TYPE_CHECKING, Any, Final

from postlude.executors.contract import ended_by, ending, failed
from postlude.job import Cancelled, Succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from postlude.clock import Clock
    from postlude.codec.results import Results
    from postlude.executors.contract import Work
    from postlude.job import Outcome

BLOCKED_AFTER: Final = 0.1
"""Seconds without an await after which a task is named as the one that blocks the loop."""

_SUCCEEDED: Final = Succeeded()


class LoopExecutor:
    """Runs coroutines on the current event loop.

    Args:
        clock: measures how long a task keeps the loop to itself.
        blocked: told the task's name and the seconds, each time that was longer than `BLOCKED_AFTER`.
    """

    def __init__(self, clock: Clock, blocked: Callable[[str, float], None]) -> None:
        self._elapsed = clock.elapsed
        self._blocked = blocked
        # The loop itself keeps only weak references to its tasks. Each leaves this set by itself when it ends, since a
        # callback that did it would take another turn of the loop.
        self._running: set[CoroutineRunning] = set()

    def begin(self, work: Work, ended: Callable[[Outcome], None]) -> CoroutineRunning:
        """Start the coroutine; it takes its first step when the caller gives the loop back."""
        running = CoroutineRunning()
        self._running.add(running)
        running.task = asyncio.get_running_loop().create_task(self._run(work, running, ended), context=work.context)
        return running

    async def _run(self, work: Work, running: CoroutineRunning, ended: Callable[[Outcome], None]) -> None:
        outcome: Outcome = _SUCCEEDED
        running.begun = True
        try:
            if running.cancelled:
                raise asyncio.CancelledError  # noqa: TRY301 - what it would have met at its first await
            result = await self._watched(work.task, work.function(*work.args, **work.kwargs))
            if result is not None and work.results is not None:
                if not work.results.is_small(result):
                    _write_in_thread(work.results, result, ended)
                    return
                outcome = Succeeded(work.results.encode(result))
        except asyncio.CancelledError as error:
            # Cancelled from inside, by a timeout that leaked or a cancelled future, is the task's own failure.
            outcome = Cancelled("cancelled while it ran") if running.cancelled else ending() or failed(error)
        except GeneratorExit:
            raise  # the loop is gone, and with it everybody who could be told
        except BaseException as error:  # noqa: BLE001 - SystemExit in a task must end the attempt, not the server
            outcome = ended_by(error)
        finally:
            self._running.discard(running)
        ended(outcome)

    @types.coroutine
    def _watched(self, task: str, coroutine: Coroutine[Any, Any, object]) -> Generator[Any, Any, object]:
        """Drive the coroutine step by step, and time each step: that is how long the loop could do nothing else.

        The protocol is that of `yield from` (PEP 380): values go in by `send`, exceptions by `throw`.
        """
        elapsed = self._elapsed
        step: Callable[[Any], Any] = coroutine.send
        value: Any = None
        while True:
            began = elapsed()
            try:
                awaited = step(value)
            except StopIteration as stop:
                result: object = stop.value
                return result
            finally:
                took = elapsed() - began
                if took > BLOCKED_AFTER:
                    self._blocked(task, took)
            try:
                value = yield awaited
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine, which decides
                step, value = coroutine.throw, error
            else:
                step = coroutine.send


def _write_in_thread(results: Results, result: object, ended: Callable[[Outcome], None]) -> None:
    """Write a large result down while the loop goes on. The coroutine has ended, so nothing can cancel it any more."""
    writing = asyncio.get_running_loop().run_in_executor(None, results.encode, result)
    writing.add_done_callback(lambda done: None if done.cancelled() else ended(Succeeded(done.result())))


class CoroutineRunning:
    """A coroutine under way."""

    stoppable: Final = True
    task: asyncio.Task[None]
    begun: bool = False
    cancelled: bool = False

    def cancel(self) -> None:
        """Raise `CancelledError` at its next await; before it has begun, do not call the function at all."""
        self.cancelled = True
        if self.begun:  # a task that is cancelled before its first step takes none, and could not say that it ended
            self.task.cancel()
