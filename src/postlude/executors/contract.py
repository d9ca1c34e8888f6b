"""What the engine asks of the place where an attempt runs."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from postlude.control import Cancel, Snooze
from postlude.job import Cancelled, Failed, Failure, Interrupted, Snoozed

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Mapping

    from postlude.codec.results import Results
    from postlude.job import Outcome


T = TypeVar("T")

MESSAGE_LIMIT: Final = 10_000
TRACEBACK_LIMIT: Final = 100_000
"""Characters of an exception's message and of its traceback that are kept: enough to read, little enough to store."""


class CannotStart(RuntimeError):
    """This place cannot begin any work just now; the work itself is not to blame."""


class Sent(NamedTuple):
    """An attempt in the form in which another process can run it."""

    text: str
    """JSON; see `elsewhere.Parcel`."""
    progress: Callable[[float, float | None, str | None], None]
    """Called here, in any thread, with the progress that is made there."""
    save: Callable[[object], None]
    """Called here, in a thread without an event loop, with a state that is saved there; returns when it is on disk."""
    stack: Callable[[str | None], None]
    """Called here, in any thread, with what the attempt is executing there, when that was asked."""


class Work(NamedTuple):
    """A function to call, with everything it needs."""

    task: str
    """The task's name, for messages."""
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    context: contextvars.Context
    """The context variables it sees; no other work runs in this context."""
    sent: Sent | None = None
    """The same for another process; None where it runs in this one."""
    results: Results | None = None
    """How what it returns is written down; None: nobody could read it."""


class Running(Protocol):
    """An attempt under way."""

    @property
    def stoppable(self) -> bool:
        """Whether this kind of place can make an attempt end."""
        ...

    def cancel(self) -> None:
        """Ask it to end, if that is possible here."""
        ...


class Executor(Protocol):
    """A place with a number of slots. Used from one event loop."""

    def begin(self, work: Work, ended: Callable[[Outcome], None], /) -> Running:
        """Start the work; `ended` is called on the event loop, once, never before `begin` has returned.

        Raises:
            CannotStart: not now; nothing has begun.
        """
        ...


class Room(Protocol):
    """Room for more, beside what cannot be made to end; of an executor that can give any."""

    def make_room(self) -> bool:
        """Run one more beside something that cannot be made to end; returns whether there is room for one more."""
        ...

    def take_room(self) -> None:
        """What could not be made to end has ended: the room that was made for it goes."""
        ...


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for, its traceback without Postlude's own frames above the task's.

    Every store can write it down: what is not valid Unicode (a file name that was not UTF-8) is escaped, and what is
    too long is cut, the traceback at its beginning.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - a __str__ that raises must not lose the failure it belongs to
        message = f"<{name} whose __str__ raised {type(broken).__name__}>"
    start = error.__traceback__
    while start is not None and start.tb_next is not None and _ours(start.tb_frame.f_code.co_filename):
        start = start.tb_next
    text = "".join(traceback.TracebackException(kind, error, start, compact=True).format())
    return Failure(name, beginning(storable(message), MESSAGE_LIMIT), ending_of(storable(text), TRACEBACK_LIMIT))


def storable(text: str) -> str:
    """The text as every store can write it down: what is not valid Unicode is escaped."""
    # A lone surrogate has no UTF-8, and PostgreSQL's text has no NUL.
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def beginning(text: str, most: int) -> str:
    """At most so many characters of a text: the first ones, without a word that is cut in two.

    A part of a secret is not known for one. A word that takes half of what is kept is cut all the same.
    """
    if len(text) <= most:
        return text
    end = max(text.rfind(space, most // 2, most + 1) for space in " \n")
    return text[: most if end < 0 else end]


def ending_of(text: str, most: int) -> str:
    """The same for the last ones: from the beginning of a line on, or at least of a word."""
    if len(text) <= most:
        return text
    start, half = len(text) - most, len(text) - most // 2
    for space in "\n ":
        found = text.find(space, start - 1, half)
        if found >= 0:
            return text[found + 1 :]
    return text[start:]


_PACKAGE = __file__.removesuffix("contract.py").removesuffix("/").removesuffix("\\")


def _ours(filename: str) -> bool:
    return filename.startswith(_PACKAGE)


def ending() -> Interrupted | None:
    """What a cancellation from outside means that nobody here asked for: a loop that ends cancels all its tasks."""
    task = asyncio.current_task()
    return Interrupted("its process is ending") if task is not None and task.cancelling() else None


def resolve(future: asyncio.Future[T], result: T) -> None:
    """Give it to whoever waits, if somebody still does: a loop that ends cancels what is waited for."""
    if not future.done():
        future.set_result(result)


def failed(error: BaseException) -> Failed:
    """The outcome of an attempt that raised."""
    return Failed(failure_of(error), error)


def ended_by(error: BaseException) -> Outcome:
    """The outcome of a task that raised: a failure, or what it asks for with `Snooze` or `Cancel`."""
    if isinstance(error, Snooze):
        return Snoozed(error.after)
    if isinstance(error, Cancel):
        return Cancelled(error.reason)
    return failed(error)
