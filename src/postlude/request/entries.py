"""What stands in the list of a request's background tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.background import BackgroundTask

from postlude.calls import CallOptions
from postlude.errors import PostludeError
from postlude.request.origin import span_around

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.background import BackgroundTasks

    from postlude.calls import Call, WhenRaised
    from postlude.request.desk import Desk


class Entry(BackgroundTask):
    """A call, with what Starlette keeps of a background task."""

    instead: Callable[[], Awaitable[None]] | None = None
    """What to do when it is called, once Postlude has taken it from the list and sees to the call itself."""

    def __init__(self, call: Call, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Not the base's: it inspects the function, which costs more than all the rest of adding a call.
        self.call = call
        self.func = function
        self.args = args  # type: ignore[assignment]  # Starlette's parameters are those of one function
        self.kwargs = kwargs  # type: ignore[assignment]

    async def __call__(self) -> None:
        """Called by somebody who has copied it into a list of his own."""
        if self.instead is None:
            await BackgroundTask(self.func, *self.args, **self.kwargs)()
        else:
            await self.instead()


def made_by_hand(task: BackgroundTask, desk: Desk) -> Entry:
    """An entry for what the user put into the list without `add_task`.

    Raises:
        PostludeError: as `Desk.prepare`.
    """
    function: Callable[..., Any] = task
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if type(task).__call__ is BackgroundTask.__call__:
        function, args, kwargs = task.func, task.args, task.kwargs
    return Entry(
        desk.prepare(function, args, kwargs, CallOptions(ordered=desk.settings.ordered)), function, args, kwargs
    )


class Taken:
    """What was in the list."""

    mistake: PostludeError | None = None
    """What is wrong with an entry that was put there by hand."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        """Those that are wanted."""
        self.unwanted: list[Call] = []


def take_from(
    tasks: BackgroundTasks,
    wanted: frozenset[WhenRaised],
    desk: Desk,
    *,
    instead: Callable[[], Awaitable[None]],
    traced: bool,
) -> Taken:
    """Empty the list; whoever has copied an entry of it will do what `instead` says."""
    entries = tasks.tasks[:]
    del tasks.tasks[: len(entries)]  # only those: a thread may be putting in more
    taken = Taken()
    for task in entries:
        try:
            entry = task if isinstance(task, Entry) else made_by_hand(task, desk)
        except PostludeError as mistake:
            taken.mistake = mistake
            continue
        if entry.instead is not None:
            continue  # copied here from another request, which sees to it
        entry.instead = instead
        call = entry.call
        if call.options.if_raised not in wanted:
            taken.unwanted.append(call)
            continue
        taken.calls.append(call)
        if traced:
            call.around = span_around(entry.func)
    return taken


def until_last_ephemeral(calls: Sequence[Call]) -> list[Call]:
    """All that must run while the request's dependencies are open, and the calls that the order puts before it."""
    ends = [position for position, call in enumerate(calls) if call.ephemeral and call.options.ordered]
    last = max(ends, default=-1)
    return [
        call for position, call in enumerate(calls) if (position <= last if call.options.ordered else call.ephemeral)
    ]
