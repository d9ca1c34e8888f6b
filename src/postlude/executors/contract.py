"""What the engine asks of the place where an attempt runs."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from postlude.job import Failed, Failure

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Mapping

    from postlude.job import Outcome


class Work(NamedTuple):
    """A function to call, with everything it needs."""

    task: str
    """The task's name, for messages."""
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    context: contextvars.Context
    """The context variables it sees; no other work runs in this context."""


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
        """Start the work; `ended` is called on the event loop, once, never before `begin` has returned."""
        ...


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for, its traceback without Postlude's own frames above the task's."""
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
    return Failure(name, message, text)


_PACKAGE = __file__.removesuffix("contract.py").removesuffix("/").removesuffix("\\")


def _ours(filename: str) -> bool:
    return filename.startswith(_PACKAGE)


def failed(error: BaseException) -> Failed:
    """The outcome of an attempt that raised."""
    return Failed(failure_of(error), error)
