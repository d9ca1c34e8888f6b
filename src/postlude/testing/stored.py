"""What is in the store, whoever put it there and whatever has become of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from postlude.client.handle import Job
from postlude.errors import ArgumentsDoNotFit, UnknownTask
from postlude.stores.contract import Filter
from postlude.testing.comparing import check_binds, missing, same_arguments, shown
from postlude.testing.engine import aside, engine_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from postlude.job import JobState, Record
    from postlude.registry import Registry
    from postlude.runtime import Runtime
    from postlude.testing.comparing import Arguments
    from postlude.testing.engine import Tested

P = ParamSpec("P")
R = TypeVar("R")

NEWEST: Final = 1_000
"""How many jobs are looked at, the newest first: more than a test has, and few enough to be read at once."""


@overload
def assert_enqueued(
    tested: Tested, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
) -> Job[R]: ...
@overload
def assert_enqueued(tested: Tested, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Job[R]: ...
def assert_enqueued(tested: Tested, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job[Any]:
    """The newest job of this function with these arguments, in whatever state it is.

    Also for `async def` tests. Arguments are compared as by `CapturedCalls.assert_enqueued`.

    Raises:
        AssertionError: there is none; the message shows the jobs that are there instead.
        CallError: the function could not be called like this at all.
        NotTestable: the application has no Postlude, or Postlude is disabled.
    """
    engine = engine_of(tested)
    definition = engine.registry.of(function)
    expected: Arguments = (args, kwargs)
    check_binds(definition, expected)
    records = aside(records_in(engine))
    for record in records:
        if engine.registry.knows(record.task) and engine.registry.find(record.task) is definition:
            found = _arguments(record, engine.registry)
            if found is not None and same_arguments(definition, expected, found):
                return Job(record.id, record.task, engine.jobs, record)
    added = [described(record, engine.registry) for record in reversed(records)]
    raise AssertionError(missing(shown(definition.name, args, kwargs), added))


async def records_in(engine: Runtime, states: Collection[JobState] = ()) -> list[Record]:
    """The jobs in the store, newest first.

    Args:
        engine: whose store.
        states: only in these; none: in any.
    """
    store = await engine.store()
    return await store.list(Filter(frozenset(states)), limit=NEWEST, before=None)


def described(record: Record, registry: Registry) -> str:
    """A job in one line."""
    found = _arguments(record, registry)
    call = f"{record.task}(...)" if found is None else shown(record.task, *found)
    reason = f", {record.reason}" if record.reason else ""
    return f"{call} [{record.state}, attempts: {record.attempt}{reason}]"


def _arguments(record: Record, registry: Registry) -> Arguments | None:
    """The arguments of a job; None where they are not stored, or cannot be read any more."""
    if record.arguments is None:
        return None
    try:
        return registry.find(record.task).codec.decode(record.arguments)
    except (UnknownTask, ArgumentsDoNotFit):
        return None
