"""Adding jobs in transactions of callers: the steps that are worked out for it, carried out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from postlude.callers.contract import Statement, is_async
from postlude.errors import CallError
from postlude.stores.within import ToStore, way_to

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from postlude.callers.alchemy import OfAsyncSession, OfSession
    from postlude.callers.contract import AsyncCaller, BlockingCaller, Caller
    from postlude.job import NewJob
    from postlude.services.relay import Relay
    from postlude.stores.contract import Store
    from postlude.stores.within import Steps, Way

T = TypeVar("T")


class Expect(Protocol):
    """Told when a caller has written, and about when that is committed, in any thread."""

    def __call__(self, *, straight: bool, committed: bool) -> None:
        """`straight`: the jobs are in the store itself. `committed`: the caller's library says that it is."""
        ...


class Transactions:
    """How the callers of one process add jobs.

    Args:
        store: where the jobs belong.
        relay: takes them there from where callers leave them.
        expect: told of what is written.
    """

    def __init__(self, store: Store, relay: Relay, expect: Expect) -> None:
        self._store = store
        self._relay = relay
        self._expect = expect
        self._ways: WeakKeyDictionary[object, Way] = WeakKeyDictionary()
        """Those of engines."""

    async def add(self, caller: Caller, jobs: Sequence[NewJob]) -> None:
        """Add jobs in the transaction of a caller; the statements of one that blocks are carried out by this thread.

        Raises:
            CallError: the caller cannot; the message says why.
            Exception: whatever its library raises.
        """
        await awaited(self._adding(caller, jobs), caller)

    def add_blocking(
        self, caller: Caller | None, jobs: Sequence[NewJob], ask: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        """The same where nothing can be awaited; `ask` waits for what the store answers.

        Raises:
            CallError: the caller cannot, or belongs to an event loop.
        """
        blocks = _blocking(caller)
        carried_out(self._adding(blocks, jobs), blocks, ask)

    async def way(self, caller: OfSession | OfAsyncSession) -> Way:
        """How the sessions of its engine add jobs; its own transaction is not touched for that.

        Raises:
            CallError: they cannot; the message says why.
        """
        way = self._ways.get(caller.engine)
        if way is None:
            apart = caller.apart
            way = self._ways[caller.engine] = await awaited(self._way(apart), apart)
        return way

    def hears(self, way: Way) -> Callable[[], None]:
        """What is to be called, in any thread, when something that was written this way is committed."""
        return partial(self._expect, straight=isinstance(way, ToStore), committed=True)

    def _way(self, caller: Caller) -> Steps[Way]:
        return way_to(self._store, self._relay.know, caller)

    def _adding(self, caller: Caller, jobs: Sequence[NewJob]) -> Steps[None]:
        way = yield from self._way(caller)
        if jobs:
            yield from way.add(jobs)
            caller.on_commit(self.hears(way))
            # Nothing may tell, and it is committed before long.
            self._expect(straight=isinstance(way, ToStore), committed=False)


async def awaited(steps: Steps[T], caller: Caller) -> T:
    """Carry out the steps, on the running event loop."""
    run = cast("AsyncCaller", caller).run_async if is_async(caller) else None
    blocking = cast("BlockingCaller", caller)
    answer: Any = None
    failed: BaseException | None = None
    while True:
        try:
            step = steps.send(answer) if failed is None else steps.throw(failed)
        except StopIteration as end:
            done: T = end.value
            return done
        answer, failed = None, None
        try:
            if not isinstance(step, Statement):
                answer = await step()
            elif run is not None:
                answer = await run(step)
            else:
                answer = blocking.run(step)
        except BaseException as error:  # noqa: BLE001 - the steps raise it again, or say what it means
            failed = error


def carried_out(
    steps: Steps[T], caller: BlockingCaller, ask: Callable[[Coroutine[Any, Any, Any]], Any] | None = None
) -> T:
    """Carry them out on this thread, which waits; `ask` is for steps that have questions to the store."""
    answer: Any = None
    failed: BaseException | None = None
    while True:
        try:
            step = steps.send(answer) if failed is None else steps.throw(failed)
        except StopIteration as end:
            done: T = end.value
            return done
        answer, failed = None, None
        try:
            if isinstance(step, Statement):
                answer = caller.run(step)
            elif ask is not None:
                answer = ask(step())
        except BaseException as error:  # noqa: BLE001 - as above
            failed = error


def _blocking(caller: Caller | None) -> BlockingCaller:
    """The caller, if nothing of it has to be awaited.

    Raises:
        CallError: it belongs to an event loop.
    """
    if caller is not None and is_async(caller):
        message = (
            "within: this connection belongs to an event loop, and durable.blocking is for threads that have none: "
            "write `await durable.options(within=...).enqueue(...)` there."
        )
        raise CallError(message)
    return cast("BlockingCaller", caller)
