"""FastAPI's `BackgroundTasks`, made durable: what endpoints and dependencies see of Postlude."""

from __future__ import annotations

from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, Self, TypeVar, cast, overload

import fastapi

from postlude.calls import NO_OPTIONS, with_options
from postlude.client.handle import Job
from postlude.ids import new_job_id
from postlude.request.desk import Desk
from postlude.request.entries import Entry
from postlude.tasks import default_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine
    from typing import Unpack
    from uuid import UUID

    from starlette.types import Scope

    from postlude.calls import CallOptions, RequestOptions
    from postlude.client.jobs import Jobs
    from postlude.request.exchange import Exchange

__all__ = ["BackgroundTasks", "Desk", "DurableTasks", "open_call_ids"]

P = ParamSpec("P")
R = TypeVar("R")

_current: ContextVar[Exchange | None] = ContextVar("postlude_exchange", default=None)
"""The exchange in which this code runs. Its value outlives the exchange in whatever copied the context."""


def open_call_ids() -> Collection[UUID]:
    """The ids of the calls that the current request has added and that start only when it is over."""
    exchange = _current.get()
    return () if exchange is None else exchange.open_ids()


def adopt(tasks: fastapi.BackgroundTasks, exchange: Exchange, options: CallOptions, scope: Scope) -> None:
    """Turn the injected `tasks` into `DurableTasks`, for the rest of its request."""
    exchange.begin(tasks, scope)
    tasks.__class__ = DurableTasks
    durable = cast("DurableTasks", tasks)
    durable._exchange = exchange  # noqa: SLF001 - the constructor that FastAPI cannot call
    durable._options = options  # noqa: SLF001
    _current.set(exchange)


class DurableTasks(fastapi.BackgroundTasks):
    """The background tasks of one request, stored before it is answered.

    FastAPI makes the object and injects it; Postlude gives it this class. A request whose calls can all be stored never
    starts one of them before its dependencies have exited. Calls that cannot be stored (a `Session`, an `UploadFile`, a
    lambda) run where Starlette runs them: when the last byte is sent, and before the request's dependencies exit.
    """

    _exchange: Exchange
    _options: CallOptions

    @overload  # type: ignore[override]  # the base returns None, which no caller can have used
    def add_task(self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def add_task(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def add_task(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Job[Any]:
        """Add a call that runs after the response.

        The snapshot of the arguments is taken here, and mistakes are raised here. The returned job has its id at once;
        it is on disk when the client has the status line.

        Raises:
            CallError: it could never run: not callable, a coroutine, or arguments that do not bind.
            ArgumentsTooLarge: its arguments are too large to be stored.
            NotStorable: it cannot be stored, and the application is strict.
        """
        exchange = self._exchange
        call = exchange.desk.prepare(func, args, kwargs, self._options)
        self.tasks.append(Entry(call, func, args, kwargs))
        if exchange.sealed:
            exchange.added(self)
        return exchange.desk.handle(call)

    def options(self, **options: Unpack[RequestOptions]) -> Self:
        """The same tasks, whose `add_task` adds calls with these options; None leaves one as it is.

        A call that cannot be stored runs in this process as soon as it may: `queue`, `priority` and `expires_after` ask
        nothing of it, and with what only a stored call can have it is refused.

        Args:
            ordered: whether the call waits for the one before it to succeed, and the next one for this. By default as
                the application says, which is True.
            if_raised: when the endpoint raises, "discard" the call (the default), "keep" it, or run it "only" then.
            delay: seconds, or a `timedelta`, after which it is due. Those behind it in order wait for it.
            run_at: the moment at which it is due, with a zone; one that has passed means now.
            expires_after: seconds, or a `timedelta`, from now on, after which no attempt starts any more: the job is
                cancelled instead. Longer than the delay.
            queue: the queue in which it waits. By default that of its task.
            priority: from -100 to 100; of the jobs that are due, those with the largest come first. By default as its
                task says, which is 0.
            key: at most one job of the task at a time has a key; see `@task(key=)`.
            on_conflict: what becomes of this call if its key is taken: "return" (the default), "replace" or "debounce";
                see `@task(on_conflict=)`. The returned job leads to the one that answers.
            key_period: seconds, or a `timedelta`, from now on, for which the job holds its key when it has succeeded.
                By default as long as it is kept.
            retries: how often it is tried again when it raises: a number, `True` for 14, or a `RetryPolicy` without a
                function and without `retry_on`. By default as its task says.
            timeout: seconds, or a `timedelta`, that an attempt may take. By default as its task says.

        Raises:
            CallError: they make no sense; the message names each one that does not.
        """
        same = copy(self)  # with the very list of this one
        same._options = with_options(self._options, **options)  # noqa: SLF001 - it is one of this class
        return same

    def __call__(self) -> Coroutine[Any, Any, None]:
        """Run by the response: only what must not wait, since the rest runs when the request is over."""
        return self._exchange.run_ephemeral()


class PlainTasks(fastapi.BackgroundTasks):
    """What is injected where Postlude is disabled: FastAPI's own tasks, for code that was written for durable ones."""

    _jobs: Jobs
    _only_if_raised: bool = False

    @classmethod
    def adopt(cls, tasks: fastapi.BackgroundTasks, jobs: Jobs) -> None:
        """Give the injected object the names that `DurableTasks` has."""
        tasks.__class__ = cls
        cast("PlainTasks", tasks)._jobs = jobs  # noqa: SLF001 - the constructor that FastAPI cannot call

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> Job[Any]:  # type: ignore[override]
        """Add a task as FastAPI does; the job that is returned has an id, and is not in any store."""
        if not self._only_if_raised:
            super().add_task(func, *args, **kwargs)
        return Job(new_job_id(), default_name(func), self._jobs)

    def options(self, **options: Unpack[RequestOptions]) -> Self:
        """The same tasks: FastAPI knows no options, keeps its order, and runs nothing when the endpoint raises.

        So what is wanted "only" then is not added, and what was to run later runs after the response.
        """
        wanted = with_options(NO_OPTIONS, **options)
        same = copy(self)  # with the very list of this one
        if options.get("if_raised") is not None:
            same._only_if_raised = wanted.if_raised == "only"  # noqa: SLF001 - it is one of this class
        return same


if TYPE_CHECKING:

    class BackgroundTasks(DurableTasks):
        """FastAPI's background tasks with the types of Postlude: `add_task(f, ...)` returns a `Job` of what f returns.

        For the annotation of a parameter of an endpoint or a dependency. A helper that is annotated with FastAPI's own
        class accepts it.
        """

else:
    # The very class that FastAPI looks for: one that is derived from it would be injected as FastAPI's all the same.
    BackgroundTasks = Annotated[fastapi.BackgroundTasks, "durable"]
