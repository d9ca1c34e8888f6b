"""What somebody submitted to a thread of a store and waits for on an event loop, and the way back there."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from postlude.errors import StoreClosed

if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Callable, Iterable

Operation = TypeVar("Operation")


SIZES: Final = tuple(2**power for power in range(11))
"""Up to how many operations a bucket of `Sizes` reaches, that itself included."""


class Sizes:
    """How many commits there were of how many operations each. Noted by one thread, to be read by any."""

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(SIZES) + 1)
        """One for each of `SIZES`, and one for what is above the last."""
        self._told: Callable[[int], object] | None = None

    def note(self, operations: int) -> None:
        """A commit of so many was made."""
        self.counts[min((operations - 1).bit_length(), len(SIZES))] += 1
        if self._told is not None:
            self._told(operations)

    def tell(self, told: Callable[[int], object]) -> None:
        """Have somebody told of each commit, by how many operations shared it, in the thread that makes it.

        Also of those that were made already, as of so many as their bucket reaches to.
        """
        before, self._told = tuple(self.counts), told
        for bound, times in zip((*SIZES, SIZES[-1] + 1), before, strict=True):
            for _ in range(times):
                told(bound)


class Entry(Generic[Operation]):
    """One call, from its submission to its result."""

    __slots__ = ("future", "loop", "operation", "payload", "result")

    def __init__(self, operation: Operation, payload: object, future: asyncio.Future[Any]) -> None:
        self.operation: Operation = operation
        """What carries it out."""
        self.payload: Any = payload
        self.future: asyncio.Future[Any] = future
        self.loop: asyncio.AbstractEventLoop = future.get_loop()
        self.result: Any = None
        """A result, or an exception to be raised at the submitter."""


def taken(pending: deque[Entry[Operation]]) -> list[Entry[Operation]]:
    """What waits there, each entry given to one thread only."""
    entries: list[Entry[Operation]] = []
    # One by one: an append that comes in between is either taken now or stays for the next time.
    with suppress(IndexError):
        while True:
            entries.append(pending.popleft())
    return entries


def refuse(pending: deque[Entry[Operation]]) -> None:
    """Tell those who wait there that the store was closed."""
    entries = taken(pending)
    for entry in entries:
        entry.result = StoreClosed("The store was closed while this call was on its way: it was not carried out.")
    resolve(entries)


def resolve(entries: Iterable[Entry[Any]]) -> None:
    """Give the results to those who wait, waking each event loop once. Keeps none of the entries."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for entry in entries:
        by_loop.setdefault(entry.loop, []).append((entry.future, entry.result))
    for loop, results in by_loop.items():
        # A loop that was closed in the meantime has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_set_results, results)


def _set_results(results: Iterable[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in results:
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
