"""What a task asks for with `Depends`: found when the task is declared, given to it when it runs, never stored.

Nothing of FastAPI's own resolution is used, because that reads a request. Here there is none, and a dependency that
needs one is refused: a made-up request would let a check of who is asking pass, or fail, by accident.

Each dependency runs where FastAPI runs it: `async def` on the event loop, in the task's own context; `def` in a thread,
but in one of Postlude's, never in those that sync endpoints share.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import AsyncExitStack, asynccontextmanager
from inspect import BoundArguments, Parameter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from postlude.codec.signatures import inspected
from postlude.dependencies.finding import NotYet, dependency_of, is_required, slots
from postlude.dependencies.resolving import Resolution, elsewhere
from postlude.errors import TaskDeclarationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from postlude.dependencies.finding import Dependency, Function, Overrides, Slot
    from postlude.executors.completed import Complete
    from postlude.executors.contract import Executor
    from postlude.executors.threads import ThreadExecutor


def plan_of(function: Function) -> Plan | None:
    """How the function's dependencies are to be resolved; None if it has none."""
    supplied = function.keywords if isinstance(function, functools.partial) else {}
    asking = {each.parameter.name: each for each in slots(function) if each.asks}
    asking = {name: slot for name, slot in asking.items() if name not in supplied}
    return Plan(function, asking) if asking else None


def names_for_callers(function: Function) -> list[str]:
    """The parameters that callers give values: those that are no dependencies.

    Raises:
        TypeError, ValueError: its parameters cannot be read.
    """
    plan = plan_of(function)
    return [name for name in inspected(function).parameters if plan is None or name not in plan.parameters]


class Plan:
    """The dependencies of one function.

    What stands in the way of one is kept, and raised when it is needed: a function written for FastAPI alone may have
    it as a default and be given a value by every caller.
    """

    def __init__(self, function: Function, slots: Mapping[str, Slot]) -> None:
        self.parameters: frozenset[str] = frozenset(slots)
        """The names that callers may leave out."""
        self._function = function
        self._slots = slots
        self._own = inspected(function)
        self.signature: inspect.Signature = _for_callers(self._own, slots)
        """What callers are asked for: dependencies by keyword only, and none of them required."""
        self._found = self._find({})

    def check(self, *, importing: bool = False, apart: bool = False) -> None:
        """Nothing, if every dependency can be resolved without a request.

        Args:
            importing: leave out what the rest of the module may still mend: names that are defined further down.
            apart: it runs in an executor that may be in another process.

        Raises:
            TaskDeclarationError: one cannot; the message says why, what leads there, and what to do.
        """
        for found in self._found.values():
            if importing and isinstance(found, NotYet):
                continue
            given = [each for each in _all_in(_usable(found)) if each.kind == "given"]
            if apart and given:
                raise elsewhere(given[0])

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> BoundArguments:
        """Which parameter each argument goes to; dependencies that are not given are not in it.

        Positional arguments go past the dependencies, wherever those stand. Where that does not fit, they go where
        Python puts them: `add_task(f, 1, db)` gives the dependency a value, as it does without Postlude.

        Raises:
            TypeError: such a call does not bind.
            TaskDeclarationError: a dependency that is not given cannot be resolved.
        """
        bound = self._own.bind_partial()
        try:
            bound.arguments.update(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as mistake:
            bound = self._own.bind_partial(*args, **kwargs)
            for parameter in self._own.parameters.values():
                if is_required(parameter) and parameter.name not in {*bound.arguments, *self.parameters}:
                    raise mistake from None
        for name, found in self._found.items():
            if name not in bound.arguments:
                _usable(found)
        return bound

    @asynccontextmanager
    async def completed(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        threads: Executor,
        overrides: Overrides | None = None,
        given: Mapping[Any, Any] = MappingProxyType({}),
    ) -> AsyncIterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments together with what the dependencies gave; those are cleaned up at exit, the last one first.

        Enter and leave it in one asyncio task. An exception that leaves the block is thrown into the dependencies that
        are open, and leaves it even if one of them keeps it: what failed has not succeeded because somebody tidied up.

        Args:
            args: as the caller gave them, like `kwargs`.
            kwargs: a dependency that is given is not resolved.
            threads: runs sync dependencies. It must have a thread for every attempt there may be: an attempt uses one
                at a time, and if closing a session had to wait for those that wait for a session, nothing would move.
            overrides: the application's `dependency_overrides`.
            given: what the application gives to its tasks, by its class.

        Raises:
            TaskDeclarationError: a dependency, or what overrides it, needs a request, or an application that is here.
        """
        try:
            bound = self.bind(args, kwargs)
        except TypeError:
            bound = None  # a wrapper that supplies arguments itself: what it is given is no call of what it wraps
        by_caller = kwargs if bound is None else bound.arguments
        found = self._find(overrides) if overrides else self._found
        failure: BaseException | None = None
        async with AsyncExitStack() as stack:
            value = Resolution(stack, threads, given).value
            values = {name: await value(_usable(found[name])) for name in self._slots if name not in by_caller}
            try:
                if bound is None:
                    yield args, {**kwargs, **values}
                else:
                    bound.arguments.update(values)
                    yield bound.args, bound.kwargs
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure

    def _find(self, overrides: Overrides) -> dict[str, Dependency | TaskDeclarationError]:
        found: dict[str, Dependency | TaskDeclarationError] = {}
        for name, slot in self._slots.items():
            try:
                found[name] = dependency_of(slot, (self._function,), (), overrides)
            except TaskDeclarationError as refusal:
                found[name] = refusal
        return found


def _usable(found: Dependency | TaskDeclarationError) -> Dependency:
    if isinstance(found, TaskDeclarationError):
        raise found.with_traceback(None)
    return found


def _all_in(dependency: Dependency) -> Iterator[Dependency]:
    """Itself, and what it depends on."""
    yield dependency
    for each in dependency.needs:
        yield from _all_in(each)


def _for_callers(own: inspect.Signature, dependencies: Mapping[str, Slot]) -> inspect.Signature:
    rest = [each for each in own.parameters.values() if each.kind is Parameter.VAR_KEYWORD]
    asked = [each for each in own.parameters.values() if each not in rest and each.name not in dependencies]
    optional = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in dependencies]
    return own.replace(parameters=[*asked, *optional, *rest])


class Resolver:
    """Resolves the dependencies of the tasks of one process.

    Args:
        threads: runs sync dependencies; see `Plan.completed` for how many there must be.
        overrides: gives the application's `dependency_overrides`, as they are at that moment.
        given: what the application gives to its tasks, by its class.
    """

    def __init__(
        self,
        threads: ThreadExecutor,
        overrides: Callable[[], Overrides],
        given: Mapping[Any, Any] = MappingProxyType({}),
    ) -> None:
        self.threads = threads
        self._overrides = overrides
        self._given = given

    def complete(self, plan: Plan) -> Complete:
        """What completes the arguments of one attempt."""
        return functools.partial(plan.completed, threads=self.threads, overrides=self._overrides(), given=self._given)
