"""Which parameters of a function ask for a dependency, and what stands in the way of one where no request is."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeVar, get_args, get_origin

from fastapi import params
from fastapi.security import SecurityScopes
from pydantic.fields import FieldInfo
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection
from starlette.responses import Response

from postlude.codec.signatures import Annotations, inspected
from postlude.errors import TaskDeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator

Function = Callable[..., Any]
Overrides = Mapping[Function, Function]
Trail = tuple[Function, ...]
Kind = Literal["plain", "coroutine", "generator", "async generator", "given"]
F = TypeVar("F", bound=Function)

_OF_A_REQUEST: Final = (HTTPConnection, Response, BackgroundTasks, SecurityScopes)
"""What FastAPI gives by annotation alone; a `Request` and a `WebSocket` are kinds of `HTTPConnection`."""
_NONE: Final = "and when a task runs there is none"
_CURE: Final = "Let the endpoint read what the task needs and hand it on as an argument"
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_GIVEN: Final = "__postlude_given__"


class Dependency(NamedTuple):
    """What gives one parameter its value."""

    parameter: str
    declared: Function
    """What `Depends` names; a value is shared by all who name the same."""
    call: Function
    """What is called: that, or what overrides it; of kind "given" the class of which the application has one."""
    kind: Kind
    use_cache: bool
    needs: tuple[Dependency, ...]


def given_to_tasks(kind: type) -> Callable[[F], F]:
    """Mark a dependency that reads a request, and that is not called for a task.

    Args:
        kind: the class of which the application that runs a task has one, which the task is given instead.
    """

    def mark(dependency: F) -> F:
        setattr(dependency, _GIVEN, kind)
        return dependency

    return mark


class NotYet(TaskDeclarationError):
    """An annotation that cannot be resolved, perhaps because its module is still being imported."""


class Slot(NamedTuple):
    """A parameter, and what is said about where its value comes from."""

    parameter: Parameter
    annotation: Any
    """The type alone; Any if it could not be resolved."""
    metadata: tuple[Any, ...]
    unresolved: str
    """Why the annotation could not be resolved; empty if it could."""

    @property
    def depends(self) -> list[params.Depends]:
        """Every `Depends` that is written on it."""
        said = [each for each in self.metadata if isinstance(each, params.Depends)]
        default = self.parameter.default
        # `jobs: Jobs = Depends()` says nothing more, but to checkers: that callers may leave it out.
        if isinstance(default, params.Depends) and (not said or default.dependency is not None):
            said.append(default)
        return said

    @property
    def asks(self) -> bool:
        """Whether it asks for a dependency, or may: of an annotation that cannot be resolved only the text is known."""
        return bool(self.depends or (self.unresolved and "Depends" in str(self.parameter.annotation)))

    @property
    def is_read_from_the_request(self) -> bool:
        """Whether FastAPI would look for it in the path, the query, the headers or the body."""
        marked = any(isinstance(each, params.Param | params.Body) for each in self.metadata)
        return marked or isinstance(self.parameter.default, FieldInfo) or is_required(self.parameter)


def slots(function: Function) -> Iterator[Slot]:
    """The parameters of a function, each with what is said about where its value comes from."""
    annotations = Annotations(function)
    for parameter in inspected(function).parameters.values():
        if parameter.kind in _VARIADIC:
            continue
        annotation, unresolved = annotations.of(parameter)
        if unresolved and get_origin(parameter.annotation) is Annotated:
            annotation, unresolved = parameter.annotation, ""  # the type may be unknown, what goes with it is not
        with suppress(NameError):
            while hasattr(annotation, "__value__"):  # type Alias = Annotated[...]
                annotation = annotation.__value__
        annotation, *metadata = get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)
        yield Slot(parameter, annotation, tuple(metadata), unresolved)


def is_required(parameter: Parameter) -> bool:
    """Whether a call without it does not bind."""
    return parameter.default is Parameter.empty and parameter.kind not in _VARIADIC


def dependency_of(slot: Slot, trail: Trail, steps: tuple[str, ...], overrides: Overrides) -> Dependency:
    """What a parameter of the last function on the trail depends on; `steps` says the way there in words."""
    steps = (*steps, f"{_name(trail[-1])}({slot.parameter.name})")
    depends = _followed(slot, steps)
    declared = slot.annotation if depends.dependency is None else depends.dependency
    if declared is Any or not callable(declared) or type(declared).__hash__ is None:
        reason = f"{declared!r} is nothing that can be called and that has a hash"
        raise _refusal(steps, reason, "Write Depends(f) with what gives the value")
    call = overrides.get(declared, declared)
    given: type | None = getattr(call, _GIVEN, None)
    if given is not None:
        return Dependency(slot.parameter.name, declared, given, "given", use_cache=True, needs=())
    if call in trail:
        raise _refusal((*steps, _name(call)), "that leads back to itself", "Let one of them do without the other")
    if getattr(call, "__globals__", {}).get("__name__") == "contextlib":
        reason = f"{_name(call)} is decorated with contextmanager, and Depends makes one of it by itself"
        raise _refusal(steps, reason, "Leave the decorator out")
    needs = _needs(call, (*trail, call), steps, overrides)
    return Dependency(slot.parameter.name, declared, call, _kind(call), depends.use_cache, tuple(needs))


def _followed(slot: Slot, steps: tuple[str, ...]) -> params.Depends:
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
    for slot in slots(call):
        name, kind = slot.parameter.name, slot.annotation
        here = (*steps, f"{_name(call)}({name})")
        if slot.asks:
            yield dependency_of(slot, trail, steps, overrides)
        elif isinstance(kind, type) and issubclass(kind, _OF_A_REQUEST):
            cure = f"{_CURE}, or give it a dependency that needs none"
            raise _refusal(here, f"{name} is a {kind.__name__}, {_NONE}", cure)
        elif slot.is_read_from_the_request:
            _check_resolved(slot, here)
            cure = f"{_CURE}, or give {name} a plain default value"
            raise _refusal(here, f"{name} is read from the request, {_NONE}", cure)


def _check_resolved(slot: Slot, steps: tuple[str, ...]) -> None:
    if slot.unresolved:
        reason = f"its annotation {slot.parameter.annotation!r} cannot be resolved ({slot.unresolved})"
        raise NotYet(str(_refusal(steps, reason, "Import what it names at run time too, not only for type checkers")))


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
