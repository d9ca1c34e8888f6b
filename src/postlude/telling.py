"""Telling whoever listens what happens: masked, and so that one who fails at it harms nobody."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar

from postlude.events import AttemptEnded
from postlude.job import Failure

if TYPE_CHECKING:
    from postlude.events import Begun, Event, Observer, Told
    from postlude.job import Outcome

T = TypeVar("T", bound=tuple[Any, ...])
P = ParamSpec("P")
R = TypeVar("R")


class Called(Protocol):
    """A call that is in this process."""

    definition: Any
    """Of its task: there may be none by its name, or another one."""

    @property
    def readable(self) -> str | None:
        """Its arguments as JSON; None: they cannot be read."""
        ...


About: TypeAlias = str | Called | None
"""Of a job, what its texts may repeat: the arguments of its call as they are stored, or a call that is not."""
Mask: TypeAlias = Callable[[str, About], Callable[[str], str]]
"""Gives what masks a text of a job, for the name of its task, and what the text may repeat."""


class Events:
    """Where events are emitted and heard.

    Args:
        mask: gives what masks the texts of events and outcomes; None: they stay as they are.
    """

    def __init__(self, mask: Mask | None = None) -> None:
        self._mask = mask
        self._subscribers: list[Callable[[Event], object]] = []
        self.observers: tuple[Observer, ...] = ()
        """Those who look at each attempt. Most often there are none, and then an attempt costs nothing more."""
        self.counts: Counter[str] = Counter()
        """How many events of each kind there were in this process, by the name of their class.

        `SubscriberFailed` counts how often telling a subscriber, or an observer, raised.
        """

    def subscribe(self, subscriber: Callable[[Event], object]) -> Callable[[], None]:
        """Hear every event, in the thread that emits it; the returned function ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def observe(self, observer: Observer) -> None:
        """Look at each attempt that begins from now on; once, however often the same observer asks."""
        if observer not in self.observers:
            self.observers = (*self.observers, observer)

    def subscribe_to_attempts(self, subscriber: Callable[[Event], object]) -> None:
        """Hear every event, and `AttemptEnded` among them."""
        self.subscribe(subscriber)
        self.observe(self._say_its_end)

    def _say_its_end(self, begun: Begun) -> Told:
        def told(outcome: Outcome, ran: float) -> None:
            kind = type(outcome).__name__.lower()
            self.emit(
                AttemptEnded(
                    begun.job_id, begun.task, begun.attempt, kind, begun.waited, ran, begun.stored, begun.origin
                )
            )

        return told

    def emit(self, event: Event, about: About = None) -> None:
        """Count it, and tell every subscriber. One that raises keeps nobody else, and no job, from going on.

        What they are told is masked as a page would show it, but for an exception itself.

        Args:
            event: what happened.
            about: the call that it is about, or its arguments as they are stored: its texts may repeat their secrets.
        """
        self.counts[type(event).__name__] += 1
        event = self.masked(event, getattr(event, "task", ""), about)
        for subscriber in tuple(self._subscribers):
            self.guarded(subscriber, event)

    def masked(self, told: T, task: str, about: About) -> T:
        """An event or an outcome whose reason and failure are masked, for those who look from outside."""
        if self._mask is None or not (hasattr(told, "reason") or hasattr(told, "failure")):
            return told
        found = self.guarded(lambda mask: _masked(told, mask(task, about)), self._mask)
        return _masked(told, _unreadable) if found is None else found

    def guarded(self, told: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
        """What `told` returns; None if it raised, which harms nobody."""
        try:
            return told(*args, **kwargs)
        except Exception:  # noqa: BLE001 - it may be the log itself that fails: what is left is stderr
            self.counts["SubscriberFailed"] += 1
            traceback.print_exc()
            return None


def _masked(told: T, mask: Callable[[str], str]) -> T:
    changed: dict[str, Any] = {}
    for name in ("reason", "failure", "message", "traceback"):
        found = getattr(told, name, None)
        if found is not None:
            changed[name] = _masked(found, mask) if isinstance(found, Failure) else mask(found)
    masked: T = told._replace(**changed)  # type: ignore[attr-defined]  # a named tuple of any class
    return masked


def _unreadable(_: str) -> str:
    return "[what was said here could not be masked]"
