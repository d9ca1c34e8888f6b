"""`durable.executors.register(...)`: attempts in any executor of `concurrent.futures`, by the name it is given.

What is submitted is always the same function at the top level of a module with a few texts, and what comes back is
plain data: it goes to another process, or to another machine that has the application's code, as it goes to a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from postlude.executors.contract import CannotStart, Work, failed
from postlude.executors.outcomes import outcome_of
from postlude.executors.threads import ThreadExecutor
from postlude.job import Cancelled, Interrupted

if TYPE_CHECKING:
    from postlude.executors.contract import Sent
    from postlude.executors.registered import Factory
    from postlude.executors.threads import Ended
    from postlude.job import Outcome

Perform = Callable[[str, str], dict[str, Any]]

WAITING: Final[dict[str, Context]] = {}
"""The contexts of the attempts that were submitted from this process, by their texts."""


class FuturesExecutor:
    """Runs attempts in a registered executor. Each waits in a thread for its future, so that nothing waits on the loop.

    Args:
        name: of the executor.
        registered: the executor, or what makes it.
        slots: how many attempts it is given at once.
        setup: see `ProcessExecutor`.
        perform: runs an attempt, in whatever process the executor has; see `elsewhere.perform_submitted`.
    """

    def __init__(self, name: str, registered: Executor | Factory, slots: int, setup: str, perform: Perform) -> None:
        self._name = name
        self._registered = registered
        self._setup = setup
        self._perform = perform
        self._threads = ThreadExecutor(slots, name=f"postlude-{name}")
        self._lock = threading.Lock()
        self._made: Executor | None = None

    def begin(self, work: Work, ended: Ended) -> FutureRunning:
        """Submit the work; see `Executor.begin`."""
        if work.sent is None:
            message = f"{work.task} cannot be sent to the executor {self._name!r}"
            raise TypeError(message)
        running = FutureRunning(work.sent)

        def wait() -> None:
            WAITING[running.sent.text] = work.context
            try:
                running.outcome = self._run(running)
            finally:
                del WAITING[running.sent.text]

        waiting = Work(work.task, wait, (), {}, copy_context())
        self._threads.begin(waiting, lambda raised: ended(raised if running.outcome is None else running.outcome))
        return running

    def close(self) -> None:
        """Shut down what was made here; waits for nothing."""
        self._threads.close()
        self._drop(self._made)

    def _run(self, running: FutureRunning) -> Outcome:
        executor: Executor | None = None
        try:
            executor = self._executor()
            future = executor.submit(self._perform, self._setup, running.sent.text)
        except Exception as error:  # noqa: BLE001 - a scheduler that is not there, a pool that was shut down or is broken
            self._drop(executor)
            return failed(CannotStart(f"the executor {self._name!r} took no work: {error!r}"))
        running.submitted(future)
        try:
            return outcome_of(future.result())
        except CancelledError:
            if running.cancelled:
                return Cancelled("cancelled before it began")
            return failed(CannotStart(f"the executor {self._name!r} was shut down before it began"))
        except BrokenExecutor as error:
            self._drop(executor)
            return Interrupted(f"the executor {self._name!r} broke: {error}", begun=True)

    def _executor(self) -> Executor:
        if isinstance(self._registered, Executor):
            return self._registered
        with self._lock:
            if self._made is None:
                made = self._registered()
                if not isinstance(made, Executor):
                    message = f"its factory must return a concurrent.futures.Executor, and returned {made!r}"
                    raise TypeError(message)
                self._made = made
            return self._made

    def _drop(self, executor: Executor | None) -> None:
        """Let go of one that was made here: the next attempt has another made."""
        with self._lock:
            if executor is None or executor is not self._made:
                return
            self._made = None
        executor.shutdown(wait=False, cancel_futures=True)


class FutureRunning:
    """An attempt in a registered executor."""

    def __init__(self, sent: Sent) -> None:
        self.sent: Sent = sent
        self.outcome: Outcome | None = None
        self.cancelled: bool = False
        self._future: Future[dict[str, Any]] | None = None

    def submitted(self, future: Future[dict[str, Any]]) -> None:
        """The executor has it."""
        self._future = future
        if self.cancelled:
            future.cancel()

    @property
    def stoppable(self) -> bool:
        """Only as long as the executor has not begun it."""
        return self._future is None or self._future.cancelled() or not self._future.running()

    def cancel(self) -> None:
        """Take it back from the executor, if that has not begun it."""
        self.cancelled = True
        if self._future is not None:
            self._future.cancel()
