"""`durable.executors.register(...)`: attempts in any executor of `concurrent.futures`, by the name it is given.

What is submitted is always the same function at the top level of a module with a few texts, and what comes back is
plain data: it goes to another process, or to another machine that has the application's code, as it goes to a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from postlude.errors import TaskDeclarationError
from postlude.executors.contract import CannotStart, Work, failed
from postlude.executors.outcomes import outcome_of
from postlude.executors.threads import ThreadExecutor
from postlude.given import did_you_mean, is_whole
from postlude.job import Cancelled, Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postlude.executors.contract import Sent
    from postlude.executors.threads import Ended
    from postlude.job import Outcome

Factory = Callable[[], Executor]
Perform = Callable[[str, str], dict[str, Any]]

OWN: Final = ("loop", "thread", "process")
"""The executors that are always there."""
SLOTS: Final = 16
"""How many attempts a registered executor is given at once, unless its registration says otherwise."""


WAITING: Final[dict[str, Context]] = {}
"""The contexts of the attempts that were submitted from this process, by their texts."""


class Registered(NamedTuple):
    """An executor under a name."""

    executor: Executor | Factory
    slots: int


class Executors:
    """The executors that the tasks of one application may name: `"loop"`, `"thread"`, `"process"`, and its own."""

    def __init__(self) -> None:
        self._registered: dict[str, Registered] = {}

    def register(self, name: str, executor: Executor | Factory, *, slots: int = SLOTS) -> None:
        """Let tasks run in an executor: `@task(executor=name)`.

        Args:
            name: an identifier, and none of `"loop"`, `"thread"` and `"process"`.
            executor: any `concurrent.futures.Executor`, which stays yours to shut down; or a function without
                arguments that makes one: it is called in each process when the first task needs it, and what it made
                is shut down with Postlude.
            slots: how many attempts it is given at once, by one process. Default: 16.

        Raises:
            TaskDeclarationError: the name is taken or none, or the rest makes no sense.
        """
        problems = []
        if not isinstance(name, str) or not name.isidentifier():
            problems.append(f"a name must be an identifier, such as 'dask', got {name!r}")
        elif name in self:
            problems.append(f"the name {name!r} is taken")
        if not isinstance(executor, Executor) and not _makes_one(executor):
            expected = "a concurrent.futures.Executor, or a function without arguments that makes one"
            problems.append(f"expected {expected}, got {executor!r}")
        if not is_whole(slots, 1):
            problems.append(f"slots must be a whole number, 1 or more, got {slots!r}")
        if problems:
            message = f"executors.register: {'; '.join(problems)}."
            raise TaskDeclarationError(message)
        self._registered[name] = Registered(executor, slots)

    def __contains__(self, name: object) -> bool:
        return name in OWN or name in self._registered

    def __iter__(self) -> Iterator[str]:
        return iter((*OWN, *self._registered))

    def __len__(self) -> int:
        return len(OWN) + len(self._registered)

    def __getitem__(self, name: str) -> Registered:
        return self._registered[name]

    def unknown(self, name: str) -> str:
        """Why a task cannot run in an executor of this name, and what to do."""
        hint = did_you_mean(name, self)
        return (
            f"its executor {name!r} is not registered here; there are {', '.join(map(repr, self))}.{hint} "
            f"Register it before it is needed: durable.executors.register({name!r}, ...)"
        )


class FuturesExecutor:
    """Runs attempts in a registered executor. Each waits in a thread for its future, so that nothing waits on the loop.

    Args:
        name: of the executor.
        registered: the executor, or what makes it.
        setup: see `ProcessExecutor`.
        perform: runs an attempt, in whatever process the executor has; see `elsewhere.perform_submitted`.
    """

    def __init__(self, name: str, registered: Registered, setup: str, perform: Perform) -> None:
        self._name = name
        self._registered = registered
        self._setup = setup
        self._perform = perform
        self._threads = ThreadExecutor(registered.slots, name=f"postlude-{name}")
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
        if isinstance(self._registered.executor, Executor):
            return self._registered.executor
        with self._lock:
            if self._made is None:
                made = self._registered.executor()
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


def _makes_one(factory: object) -> bool:
    return issubclass(factory, Executor) if isinstance(factory, type) else callable(factory)
