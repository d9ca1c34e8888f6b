"""What the tests of the engine put in the place of time, and what goes wrong in a store."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from postlude.events import Event
from postlude.stores.contract import Store
from postlude.stores.notifying import Change
from postlude.telling import Events

T = TypeVar("T")


class FakeClock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0
        self.passed = 50.0

    def now(self) -> float:
        return self.time

    def elapsed(self) -> float:
        return self.passed

    def set_ahead(self, seconds: float) -> None:
        raise NotImplementedError

    def advance(self, seconds: float) -> None:
        self.time += seconds
        self.passed += seconds


class Heard(list[Event]):
    """Every event that was emitted."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        events.subscribe(self.append)

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self if isinstance(event, kind)]


class FaultyStore:
    """A store whose operations fail, wait or are noted as a test wants them to.

    Args:
        store: what really does the work.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, list[Exception]] = {}
        """For each operation, what its next calls raise; after those it works again."""
        self.late_faults: dict[str, list[Exception]] = {}
        """The same, raised after the work was done: a write that happened and was not confirmed."""
        self.gates: dict[str, asyncio.Event] = {}
        """An operation waits until its gate opens."""
        self.reached: dict[str, asyncio.Event] = {}
        """Set when an operation waits at its gate."""
        self.told: list[Change] = []
        """What was said with `notify`."""
        self.tell: Callable[[Change], None] = lambda _: None
        """Says what another process tells, to whoever listens."""
        self.sure: bool = True
        """Whether no worker can have been given up by others."""

    def fail(self, operation: str, *errors: Exception) -> None:
        self.faults.setdefault(operation, []).extend(errors)

    def shut(self, operation: str) -> tuple[asyncio.Event, asyncio.Event]:
        """Make the operation wait; returns what is set when it does, and what lets it go on."""
        self.reached[operation], self.gates[operation] = asyncio.Event(), asyncio.Event()
        return self.reached[operation], self.gates[operation]

    def sure_of(self, _: int) -> bool:
        return self.sure

    def notify(self, change: Change) -> None:
        self.told.append(change)

    def listen(self, heard: Callable[[Change], None]) -> None:
        self.tell = heard

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self.store, operation)
        if not callable(real):
            return real  # a part of the store, whose operations are its own

        async def called(*args: Any, **kwargs: Any) -> object:
            self.calls[operation] += 1
            if operation in self.gates:
                self.reached[operation].set()
                await self.gates[operation].wait()
            if self.faults.get(operation):
                raise self.faults[operation].pop(0)
            result = await real(*args, **kwargs)
            if self.late_faults.get(operation):
                raise self.late_faults[operation].pop(0)
            return result

        return called


async def until(condition: Callable[[], object]) -> None:
    """Give way to others until it holds; the test's own timeout ends it if it never does."""
    while not condition():  # noqa: ASYNC110 - what is waited for happens in a thread or has no event
        await asyncio.sleep(0)


async def turns(number: int = 10) -> None:
    """Let everything go on that waits for nothing but its turn on the loop."""
    for _ in range(number):
        await asyncio.sleep(0)
