"""Tasks of a request that are committed with what its session writes."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, cast, overload

import fastapi
from fastapi import Depends, params
from starlette.requests import HTTPConnection  # noqa: TC002 - FastAPI reads the annotation

from postlude.background import DurableTasks, PlainTasks
from postlude.calls import with_options
from postlude.errors import CallError, InstallError
from postlude.job import JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Unpack

    from postlude.bound import Bound
    from postlude.calls import RequestOptions
    from postlude.client.handle import Job

P = ParamSpec("P")
R = TypeVar("R")


class BoundTasks(DurableTasks):
    """Tasks that become jobs when a session commits. They are no part of the response."""

    _bound: Bound

    @classmethod
    def of(cls, tasks: DurableTasks, bound: Bound) -> BoundTasks:
        """Those of the request that these are of."""
        found = cls()
        found.__dict__.update(tasks.__dict__, tasks=[], _bound=bound)
        return found

    @overload  # type: ignore[override]  # as with `DurableTasks`
    def add_task(self, func: Callable[P, Coroutine[Any, Any, R]], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    @overload
    def add_task(self, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
    def add_task(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Job[Any]:
        """Add a call that is a job when the session commits, and never was one if it does not.

        Any worker may run it from the commit on, also before the response has gone out.

        Raises:
            CallError: it could never run.
            NotStorable: it cannot be stored.
            ArgumentsTooLarge: its arguments are too large to be stored.
        """
        desk = self._exchange.desk
        call = desk.prepare_stored(func, args, kwargs, self._options)
        self._bound.add(call)
        return desk.handle(call, JobState.QUEUED)

    def options(self, **options: Unpack[RequestOptions]) -> Self:
        """As those of any tasks of a request, but for `if_raised`: whether a call is kept is said by the commit.

        Raises:
            CallError: they make no sense; the message names each one that does not.
        """
        if options.get("if_raised") is not None:
            message = (
                "options: if_raised says what becomes of a task when the endpoint raises, and this one is there if its "
                "session commits. For a task that does not depend on that, take BackgroundTasks."
            )
            raise CallError(message)
        same = copy(self)
        same._options = with_options(self._options, **options)  # noqa: SLF001 - it is one of this class
        return same

    async def __call__(self) -> None:
        """Nothing: it is not the response that runs them."""


if TYPE_CHECKING:

    class TransactionTasks(BoundTasks):
        """The tasks of a request that are committed with what its session writes; to be annotated with `Within`."""

else:

    class TransactionTasks:
        """The tasks of a request that are committed with what its session writes; to be annotated with `Within`."""

        # Not derived from FastAPI's own, of which FastAPI would inject one without asking the dependency.


def Within(session: Any) -> Any:  # noqa: N802, ANN401 - as `Depends`
    """The annotation of `TransactionTasks`: in the transaction of which session they are.

    The endpoint, or whoever else depends on the same session, gets the very session that the tasks are committed with.

    Args:
        session: what the endpoint's session depends on: the annotation, such as `SessionDep`, the `Depends(...)` in it,
            or the function in that. Where that has a scope of its own, or does not use the cache, the function alone
            does not say it.

    Raises:
        CallError: it is none of these.
    """
    dependency = _dependency(session)

    async def bind(
        connection: HTTPConnection,
        background_tasks: fastapi.BackgroundTasks,
        session: Any = dependency,  # noqa: ANN401 - whatever the dependency gives
    ) -> Any:  # noqa: ANN401 - tasks, or FastAPI's own in the place of them
        if isinstance(background_tasks, PlainTasks):
            return background_tasks  # disabled
        if not isinstance(background_tasks, DurableTasks):
            message = (
                f"{connection.scope['path']}: TransactionTasks are made durable by Postlude, which is not installed in "
                "this application. Write Postlude(app) right after app = FastAPI()."
            )
            raise InstallError(message)
        exchange = background_tasks._exchange  # noqa: SLF001 - of the same face
        return BoundTasks.of(background_tasks, await exchange.bind(session))

    return Depends(bind)


def _dependency(session: Any) -> params.Depends:  # noqa: ANN401 - judged here
    found = getattr(session, "__value__", session)  # of a `type` statement
    for each in (found, *getattr(found, "__metadata__", ())):
        if isinstance(each, params.Depends) and each.dependency is not None:
            return each
    if callable(found) and not hasattr(found, "__metadata__"):
        return cast("params.Depends", Depends(found))
    message = (
        "Within: expected what a session depends on, such as get_session, Depends(get_session) or "
        f"Annotated[Session, Depends(get_session)]; got {session!r}."
    )
    raise CallError(message)
