"""`def` tasks: in Postlude's own threads, so that they never take one of those that sync endpoints share."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from postlude.executors.contract import CannotStart, ended_by, failed
from postlude.job import Outcome, Succeeded

if TYPE_CHECKING:
    from postlude.executors.contract import Work

Ended = Callable[[Outcome], None]
Waiting: TypeAlias = "queue.SimpleQueue[tuple[Work, Ended, Returns] | None]"

_SUCCEEDED: Final = Succeeded()


class ThreadExecutor:
    """Runs functions in up to `size` daemon threads, started as they are needed.

    Daemon threads, because a function that does not end must not keep the process from ending: its job is then found
    without an owner, and runs again. The threads of `concurrent.futures` are joined at exit.

    Args:
        size: how many.
        name: what the threads are called, with a number behind it.
        serve: what a thread does: it takes from the queue, and puts into `Returns`, until it takes None.
    """

    def __init__(
        self, size: int, *, name: str = "postlude-task", serve: Callable[[Waiting], None] | None = None
    ) -> None:
        self._name = name
        self._serve = _serve if serve is None else serve
        self._slots = size
        self._size = size
        self._waiting: Waiting = queue.SimpleQueue()
        """What the threads below take from. After `close` there is another: a thread that was stuck at that moment must
        find its own end in its queue, and not one that is meant for a thread started since."""
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._under_way = 0
        """How much work was handed over and has not ended. Counted, because which thread is idle cannot be known."""
        self._returns: Returns | None = None

    def begin(self, work: Work, ended: Ended) -> ThreadRunning:
        """Hand the work to a thread; `ended` is called on the running loop.

        Raises:
            CannotStart: there is no thread yet, and the system gives none.
        """
        loop = asyncio.get_running_loop()
        # A name of its own: another loop's call may put its own way back there in the meantime.
        returns = self._returns
        if returns is None or returns.loop is not loop:
            returns = self._returns = Returns(loop, self._ended)
        with self._lock:
            if len(self._threads) < min(self._under_way + 1, self._size):
                self._start_thread()
            self._under_way += 1
            self._waiting.put((work, ended, returns))
        return _RUNNING

    def make_room(self) -> bool:
        """Start one thread more than there were, until half of them are stuck."""
        with self._lock:
            if self._size >= 2 * self._slots:
                return False
            self._size += 1
            return True

    def take_room(self) -> None:
        """A stuck thread has come back."""
        with self._lock:
            self._size -= 1

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._serve, args=(self._waiting,), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # With one thread less the work is done later; with none it never is.
            if not self._threads:
                message = f"no thread {self._name!r} could be started: {error}"
                raise CannotStart(message) from error
        else:
            self._threads.append(thread)

    def close(self) -> None:
        """Let the threads end when they have nothing left to do; waits for none of them."""
        with self._lock:
            for _ in self._threads:
                self._waiting.put(None)
            self._threads.clear()
            self._waiting = queue.SimpleQueue()

    def _ended(self) -> None:
        # On the loop, like `begin`: there the lock is free, and never makes the loop wait for a thread.
        with self._lock:
            self._under_way -= 1


def _serve(waiting: Waiting) -> None:
    while True:
        item = waiting.get()
        if item is None:
            return
        work, ended, returns = item
        returns.put(ended, call(work))
        del item, work, ended  # nothing of a past attempt stays alive while the thread waits for the next


def call(work: Work) -> Outcome:
    """What the work comes to, done in the current thread."""
    try:
        result = work.context.run(work.function, *work.args, **work.kwargs)
    except BaseException as error:  # noqa: BLE001 - SystemExit in a task ends the attempt, not the thread
        return ended_by(error)
    if result is not None and asyncio.iscoroutine(result):
        result.close()
        return failed(
            TypeError(
                f"{work.task} is a `def` that returned a coroutine, which nobody awaits, so its work was not done: "
                "declare it `async def`, and await the coroutine there."
            )
        )
    if result is None or work.results is None:
        return _SUCCEEDED
    return Succeeded(work.context.run(work.results.encode, result))


class Returns:
    """The way back to the loop: whatever ends while the loop is busy comes in one visit, not one wake-up each."""

    def __init__(self, loop: asyncio.AbstractEventLoop, returned: Callable[[], None]) -> None:
        self.loop = loop
        self._returned = returned
        self._ended: deque[tuple[Ended, Outcome]] = deque()
        self._called = False

    def put(self, ended: Ended, outcome: Outcome) -> None:
        """Tell the loop, from any thread. A loop that was closed has nobody left to tell."""
        self._ended.append((ended, outcome))
        if not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        # Before the first look: what is appended after the last look finds the flag down, and calls again.
        self._called = False
        while self._ended:
            ended, outcome = self._ended.popleft()
            self._returned()
            try:
                ended(outcome)
            except Exception as error:  # noqa: BLE001 - said where the loop says such things; the others come home too
                self.loop.call_exception_handler({"message": "the end of a task was not taken", "exception": error})


class ThreadRunning:
    """A function under way in a thread."""

    stoppable: Final = False

    def cancel(self) -> None:
        """Nothing: Python cannot stop a thread."""


_RUNNING: Final = ThreadRunning()
