"""What a task asks for with `Depends`: found when the task is declared, given to it when it runs, never stored.

Nothing of FastAPI's own resolution is used, because that reads a request. Here there is none, and a dependency that
needs one is refused: a made-up request would let a check of who is asking pass, or fail, by accident.

Each dependency runs where FastAPI runs it: `async def` on the event loop, in the task's own context; `def` in a thread,
but in one of Postlude's, never in those that sync endpoints share.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import copy_context
from inspect import BoundArguments, Parameter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

from fastapi import params
from fastapi.security import SecurityScopes
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection
from starlette.responses import Response

from postlude.codec.signatures import _Annotations, _inspected
from postlude.errors import TaskDeclarationError
from postlude.executors.contract import Work, resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextvars import Context

    from postlude.executors.contract import Executor
    from postlude.job import Outcome

Function = Callable[..., Any]
Overrides = Mapping[Function, Function]
Trail = tuple[Function, ...]
Kind = Literal["plain", "coroutine", "generator", "async generator"]

_OF_A_REQUEST: Final = (HTTPConnection, Response, BackgroundTasks, SecurityScopes)
"""What FastAPI gives by annotation alone; a `Request` and a `WebSocket` are kinds of `HTTPConnection`."""
_NONE: Final = "and when a task runs there is none"
_CURE: Final = "Let the endpoint read what the task needs and hand it on as an argument"
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_UNSET: Final = object()


class Dependency(NamedTuple):
    """What gives one parameter its value."""

    parameter: str
    declared: Function
    """What `Depends` names; a value is shared by all who name the same."""
    call: Function
    """What is called: that, or what overrides it."""
    kind: Kind
    use_cache: bool
    needs: tuple[Dependency, ...]


class _NotYet(TaskDeclarationError):
    """An annotation that cannot be resolved, perhaps because its module is still being imported."""


def plan_of(function: Function) -> Plan | None:
    """How the function's dependencies are to be resolved; None if it has none."""
    supplied = function.keywords if isinstance(function, functools.partial) else {}
    slots = {each.parameter.name: each for each in _slots(function) if each.asks}
    slots = {name: slot for name, slot in slots.items() if name not in supplied}
    return Plan(function, slots) if slots else None


class Plan:
    """The dependencies of one function.

    What stands in the way of one is kept, and raised when it is needed: a function written for FastAPI alone may have
    it as a default and be given a value by every caller.
    """

    def __init__(self, function: Function, slots: Mapping[str, _Slot]) -> None:
        self.parameters: frozenset[str] = frozenset(slots)
        """The names that callers may leave out."""
        self._function = function
        self._slots = slots
        self._own = _inspected(function)
        self.signature: inspect.Signature = _for_callers(self._own, slots)
        """What callers are asked for: dependencies by keyword only, and none of them required."""
        self._found = self._find({})

    def check(self, *, importing: bool = False) -> None:
        """Nothing, if every dependency can be resolved without a request.

        Args:
            importing: leave out what the rest of the module may still mend: names that are defined further down.

        Raises:
            TaskDeclarationError: one cannot; the message says why, what leads there, and what to do.
        """
        for found in self._found.values():
            if not (importing and isinstance(found, _NotYet)):
                _usable(found)

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
                if _is_required(parameter) and parameter.name not in {*bound.arguments, *self.parameters}:
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

        Raises:
            TaskDeclarationError: a dependency, or what overrides it, needs a request.
        """
        try:
            bound = self.bind(args, kwargs)
        except TypeError:
            bound = None  # a wrapper that supplies arguments itself: what it is given is no call of what it wraps
        given = kwargs if bound is None else bound.arguments
        found = self._find(overrides) if overrides else self._found
        failure: BaseException | None = None
        async with AsyncExitStack() as stack:
            value = _Resolution(stack, threads).value
            values = {name: await value(_usable(found[name])) for name in self._slots if name not in given}
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
                found[name] = _dependency(slot, (self._function,), (), overrides)
            except TaskDeclarationError as refusal:
                found[name] = refusal
        return found


def _usable(found: Dependency | TaskDeclarationError) -> Dependency:
    if isinstance(found, TaskDeclarationError):
        raise found.with_traceback(None)
    return found


def _for_callers(own: inspect.Signature, dependencies: Mapping[str, _Slot]) -> inspect.Signature:
    rest = [each for each in own.parameters.values() if each.kind is Parameter.VAR_KEYWORD]
    asked = [each for each in own.parameters.values() if each not in rest and each.name not in dependencies]
    optional = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in dependencies]
    return own.replace(parameters=[*asked, *optional, *rest])


# Finding


class _Slot(NamedTuple):
    """A parameter, and what is said about where its value comes from."""

    parameter: Parameter
    annotation: Any
    """The type alone; Any if it could not be resolved."""
    metadata: tuple[Any, ...]
    unresolved: str
    """Why the annotation could not be resolved; empty if it could."""

    @property
    def depends(self) -> list[params.Depends]:
        said = (*self.metadata, self.parameter.default)
        return [each for each in said if isinstance(each, params.Depends)]

    @property
    def asks(self) -> bool:
        """Whether it asks for a dependency, or may: of an annotation that cannot be resolved only the text is known."""
        return bool(self.depends or (self.unresolved and "Depends" in str(self.parameter.annotation)))

    @property
    def is_read_from_the_request(self) -> bool:
        marked = any(isinstance(each, params.Param | params.Body) for each in self.metadata)
        return marked or isinstance(self.parameter.default, FieldInfo) or _is_required(self.parameter)


def _slots(function: Function) -> Iterator[_Slot]:
    annotations = _Annotations(function)
    for parameter in _inspected(function).parameters.values():
        if parameter.kind in _VARIADIC:
            continue
        annotation, unresolved = annotations.of(parameter)
        if unresolved and get_origin(parameter.annotation) is Annotated:
            annotation, unresolved = parameter.annotation, ""  # the type may be unknown, what goes with it is not
        with suppress(NameError):
            while hasattr(annotation, "__value__"):  # type Alias = Annotated[...]
                annotation = annotation.__value__
        annotation, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        yield _Slot(parameter, annotation, tuple(metadata), unresolved)


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is Parameter.empty and parameter.kind not in _VARIADIC


def _dependency(slot: _Slot, trail: Trail, steps: tuple[str, ...], overrides: Overrides) -> Dependency:
    """What a parameter of the last function on the trail depends on; `steps` says the way there in words."""
    steps = (*steps, f"{_name(trail[-1])}({slot.parameter.name})")
    depends = _followed(slot, steps)
    declared = slot.annotation if depends.dependency is None else depends.dependency
    if declared is Any or not callable(declared) or type(declared).__hash__ is None:
        reason = f"{declared!r} is nothing that can be called and that has a hash"
        raise _refusal(steps, reason, "Write Depends(f) with what gives the value")
    call = overrides.get(declared, declared)
    if call in trail:
        raise _refusal((*steps, _name(call)), "that leads back to itself", "Let one of them do without the other")
    if getattr(call, "__globals__", {}).get("__name__") == "contextlib":
        reason = f"{_name(call)} is decorated with contextmanager, and Depends makes one of it by itself"
        raise _refusal(steps, reason, "Leave the decorator out")
    needs = _needs(call, (*trail, call), steps, overrides)
    return Dependency(slot.parameter.name, declared, call, _kind(call), depends.use_cache, tuple(needs))


def _followed(slot: _Slot, steps: tuple[str, ...]) -> params.Depends:
    """The parameter's `Depends`, if it means the same in a task."""
    parameter = slot.parameter
    depends = slot.depends[-1] if slot.depends else params.Depends()
    if depends.dependency is None:
        _check_resolved(slot, steps)
    if isinstance(parameter.default, params.Depends) and len(slot.depends) > 1:
        raise _refusal(steps, "it has Depends twice, in Annotated and as its default", "Remove one of them")
    if isinstance(depends, params.Security):
        raise _refusal(steps, f"Security asks who sent the request, {_NONE}", _CURE)
    if getattr(depends, "max_concurrency", None) is not None:  # who holds the limit is private to FastAPI
        raise _refusal(steps, "max_concurrency counts requests only", "Give the task a Depends(...) without it")
    if parameter.kind is Parameter.POSITIONAL_ONLY:
        raise _refusal(steps, "a dependency is given by keyword, and this takes none", "Move it behind the `/`")
    return depends


def _needs(call: Function, trail: Trail, steps: tuple[str, ...], overrides: Overrides) -> Iterator[Dependency]:
    for slot in _slots(call):
        name, kind = slot.parameter.name, slot.annotation
        here = (*steps, f"{_name(call)}({name})")
        if slot.asks:
            yield _dependency(slot, trail, steps, overrides)
        elif isinstance(kind, type) and issubclass(kind, _OF_A_REQUEST):
            cure = f"{_CURE}, or give it a dependency that needs none"
            raise _refusal(here, f"{name} is a {kind.__name__}, {_NONE}", cure)
        elif slot.is_read_from_the_request:
            _check_resolved(slot, here)
            cure = f"{_CURE}, or give {name} a plain default value"
            raise _refusal(here, f"{name} is read from the request, {_NONE}", cure)


def _check_resolved(slot: _Slot, steps: tuple[str, ...]) -> None:
    if slot.unresolved:
        reason = f"its annotation {slot.parameter.annotation!r} cannot be resolved ({slot.unresolved})"
        raise _NotYet(str(_refusal(steps, reason, "Import what it names at run time too, not only for type checkers")))


def _refusal(steps: tuple[str, ...], reason: str, cure: str) -> TaskDeclarationError:
    return TaskDeclarationError(f"{' → '.join(steps)} cannot be resolved in a task: {reason}. {cure}.")


def _name(function: object) -> str:
    function = function.func if isinstance(function, functools.partial) else function
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _kind(call: Function) -> Kind:
    """How a value is had from it; a wrapper is what it wraps."""
    bare = call.func if isinstance(call, functools.partial) else call  # partials of partials are flat
    faces = [bare, inspect.unwrap(bare)]
    if not isinstance(faces[1], type):  # calling a class makes an instance, whatever calling that would do
        called = getattr(bare, "__call__")  # noqa: B004, B009 - its kind is asked, not its presence
        faces += [called, inspect.unwrap(called)]
    if any(map(inspect.isasyncgenfunction, faces)):
        return "async generator"
    if any(map(inspect.isgeneratorfunction, faces)):
        return "generator"
    return "coroutine" if any(map(inspect.iscoroutinefunction, faces)) else "plain"


# Resolving


class _Resolution:
    """The values of one attempt's dependencies, and on the stack what is to be closed after it."""

    def __init__(self, stack: AsyncExitStack, threads: Executor) -> None:
        self._stack = stack
        self._threads = threads
        self._values: dict[Function, Any] = {}

    async def value(self, dependency: Dependency) -> Any:  # noqa: ANN401 - whatever the dependency gives
        if dependency.use_cache and dependency.declared in self._values:
            return self._values[dependency.declared]
        arguments = {each.parameter: await self.value(each) for each in dependency.needs}
        made = await self._made(dependency.kind, functools.partial(dependency.call, **arguments))
        self._values.setdefault(dependency.declared, made)
        return made

    async def _made(self, kind: Kind, call: Callable[[], Any]) -> Any:  # noqa: ANN401 - as above
        match kind:
            case "coroutine":
                return await call()
            case "async generator":
                return await self._stack.enter_async_context(asynccontextmanager(call)())
            case "generator":
                return await self._opened(call)
            case "plain":
                return await self._in_thread(call, copy_context())

    async def _opened(self, call: Callable[[], Iterator[Any]]) -> Any:  # noqa: ANN401 - as above
        # One context for both ends: a context variable can be reset only where it was set.
        context, opened = copy_context(), ExitStack()

        async def leave(*raised: Any) -> bool:
            context.run(_adopt, copy_context())
            return bool(await self._in_thread(functools.partial(opened.__exit__, *raised), context))

        # Before it is opened: whoever cancels the wait for that does not keep the thread from opening it.
        self._stack.push_async_exit(leave)
        return await self._in_thread(lambda: opened.enter_context(contextmanager(call)()), context)

    async def _in_thread(self, call: Callable[[], Any], context: Context) -> Any:  # noqa: ANN401 - as above
        """Call it in a thread, and take over the context variables that it set; a cancellation waits for the thread."""
        result: Future[Any] = Future()

        def work() -> None:
            try:
                result.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                result.set_exception(error)

        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._threads.begin(Work("a dependency", work, (), {}, context), functools.partial(resolve, ended))
        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError as error:
                cancelled = error
        _adopt(context)
        if cancelled is not None:
            raise cancelled
        return result.result()


def _adopt(context: Context) -> None:
    """Set each variable of the current context to what it is in the other one."""
    for variable, value in context.items():
        if variable.get(_UNSET) is not value:
            variable.set(value)
