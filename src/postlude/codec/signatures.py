"""Which parameter each argument of a call goes to."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import typing
from inspect import Parameter
from typing import TYPE_CHECKING, Any, get_args, get_origin, is_typeddict

from postlude.codec.forms import Form
from postlude.codec.refusals import type_names
from postlude.errors import CallError
from postlude.given import meant

if TYPE_CHECKING:
    from collections.abc import Callable

_CACHED_SHAPES = 256
"""How many shapes of calls are kept; only a function with `**kwargs` has more than a few."""


_BY_POSITION = frozenset({Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD})
_BY_NAME = frozenset({Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY})

_UNRESOLVABLE = (NameError, AttributeError, TypeError, ValueError, SyntaxError, LookupError, ImportError)
"""What looking at an annotation may raise: most are names that only a type checker can see."""


class Target(typing.NamedTuple):
    """Where one argument of a call goes."""

    name: str
    form: Form


class Targets(typing.NamedTuple):
    """Where all arguments of a call go, in the order in which they are given."""

    positional: tuple[Target, ...]
    keywords: dict[str, Target]


class Binding(typing.Protocol):
    """How calls bind to a function some of whose parameters callers leave out."""

    signature: inspect.Signature
    """What callers are asked for."""

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        """Which parameter each argument goes to.

        Raises:
            TypeError: such a call does not bind.
        """
        ...


class Signature:
    """The parameters of one function.

    Whether a call binds depends on its shape alone: how many positional arguments, and which keywords. So each shape is
    bound once, and looked up from then on.
    """

    def __init__(self, function: Callable[..., Any], binding: Binding | None = None) -> None:
        self._function = function
        self._binding = binding
        self._signature = inspected(function) if binding is None else binding.signature
        self._annotations = Annotations(function)
        self._forms: dict[str, Form] = {}
        self._shapes: dict[tuple[object, ...], Targets] = {}

    def targets(self, count: int, names: tuple[str, ...]) -> Targets:
        """The targets of a call with `count` positional arguments and the keywords `names`.

        Raises:
            TypeError: such a call does not bind.
        """
        shape = (count, *names)
        found = self._shapes.get(shape)
        if found is None:
            found = self._bound(count, names)
            if len(self._shapes) < _CACHED_SHAPES:
                self._shapes[shape] = found
        return found

    def mistake(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], reason: str) -> CallError:
        """The error of a call that does not bind."""
        misfits = "; ".join(_misfits(self._signature, len(args), tuple(kwargs))) or reason
        said = f"{name}{self._signature} cannot be called with {type_names(args, kwargs)}: {misfits}"
        said += "" if said.endswith("?") else "."
        function = self._function
        if isinstance(function, type) and _is_callable_class(function):
            kind = function.__qualname__
            return CallError(
                f"{said} {kind} is a class whose instances can be called: pass an instance of it, {kind}(...), instead."
            )
        if said.endswith("?"):  # that is cure enough
            return CallError(said)
        return CallError(f"{said} Pass the arguments as the function itself would be called with.")

    def _bound(self, count: int, names: tuple[str, ...]) -> Targets:
        given, named = tuple(range(count)), dict.fromkeys(names)
        try:
            binding = self._binding
            bound = self._signature.bind(*given, **named) if binding is None else binding.bind(given, named)
            return _placed(bound, names, self._form)
        except TypeError as mistake:
            outer = _outer(self._function)
            if outer is not None:
                # A wrapper may supply arguments itself. What those mean that it is given is not known: plain JSON.
                with contextlib.suppress(TypeError):
                    _check_handed_on(outer, self._signature, count, names)
                    return _placed(outer.bind(*given, **named), names, lambda *_: Form(Any, unresolved=""))
            raise mistake from None

    def _form(self, parameter: Parameter, key: str) -> Form:
        """The form of a parameter, or of one keyword that goes into a `**kwargs: Unpack[SomeTypedDict]`."""
        annotation, unresolved = self._annotations.of(parameter)
        if get_origin(annotation) is typing.Unpack:
            annotation, unresolved = self._annotations.unpacked(get_args(annotation)[0], key)
        else:
            key = ""
        slot = f"{parameter.name}.{key}"
        if slot not in self._forms:
            self._forms[slot] = Form(annotation, unresolved=unresolved)
        return self._forms[slot]


def _placed(bound: inspect.BoundArguments, names: tuple[str, ...], form: Callable[[Parameter, str], Form]) -> Targets:
    positional: list[Target] = []
    keywords: dict[str, Target] = {}
    for parameter in bound.signature.parameters.values():
        if parameter.name not in bound.arguments:
            continue
        name = parameter.name
        if parameter.kind is Parameter.VAR_POSITIONAL:
            items = range(len(bound.arguments[name]))
            positional += [Target(f"{name}[{index}]", form(parameter, "")) for index in items]
        elif parameter.kind is Parameter.VAR_KEYWORD:
            keywords |= {key: Target(key, form(parameter, key)) for key in bound.arguments[name]}
        elif name in names and parameter.kind is not Parameter.POSITIONAL_ONLY:
            keywords[name] = Target(name, form(parameter, ""))
        else:
            positional.append(Target(name, form(parameter, "")))
    # In the order of the call: a function with **kwargs sees it.
    return Targets(tuple(positional), {name: keywords[name] for name in names})


def _misfits(signature: inspect.Signature, count: int, names: tuple[str, ...]) -> list[str]:
    """All that is wrong with a call of that shape; what ends with a question comes last."""
    parameters = signature.parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    by_position = [parameter.name for parameter in parameters if parameter.kind in _BY_POSITION]
    by_name = [parameter.name for parameter in parameters if parameter.kind in _BY_NAME]
    strange = [] if Parameter.VAR_KEYWORD in kinds else [name for name in names if name not in by_name]
    unnamed = [name for name in strange if name in by_position]
    given = {*by_position[:count], *unnamed, *(name for name in names if name in by_name)}
    missing = [
        repr(parameter.name)
        for parameter in parameters
        if parameter.name not in given
        and parameter.default is Parameter.empty
        and parameter.kind in _BY_POSITION | _BY_NAME
    ]
    misfits = []
    if count > len(by_position) and Parameter.VAR_POSITIONAL not in kinds:
        misfits.append(f"{count} positional arguments where it takes {len(by_position) or 'none'}")
    misfits += [f"{name!r} both by position and by name" for name in names if name in by_position[:count]]
    misfits += [
        f"{name!r} by name, which it takes by position only" for name in unnamed if name not in by_position[:count]
    ]
    if missing:
        misfits.append(f"missing {' and '.join(missing)}")
    free = [name for name in by_name if name not in given]
    unexpected = [_unexpected(name, free) for name in strange if name not in unnamed]
    return misfits + sorted(unexpected, key=lambda text: text.endswith("?"))


def _unexpected(name: str, free: list[str]) -> str:
    close = meant(name, free)
    return f"unexpected {name!r}" + ("" if close is None else f": did you mean {close!r}?")


def _outer(function: Callable[..., Any]) -> inspect.Signature | None:
    """What a wrapper itself takes, beside the function that it stands for; None: it is none, or does not tell."""
    if not hasattr(function, "__wrapped__"):
        return None
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError, NameError):
        return None


def _check_handed_on(outer: inspect.Signature, inner: inspect.Signature, count: int, names: tuple[str, ...]) -> None:
    """Raise TypeError if a wrapper takes by `*args` or `**kwargs`, to hand it on, what the function does not take."""
    given = outer.bind(*range(count), **dict.fromkeys(names)).arguments
    kinds = {parameter.kind: name for name, parameter in outer.parameters.items()}
    args = given.get(kinds.get(Parameter.VAR_POSITIONAL, ""), ())
    kwargs = given.get(kinds.get(Parameter.VAR_KEYWORD, ""), {})
    inner.bind_partial(*args, **kwargs)  # what is missing, the wrapper may supply


def inspected(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of any callable; that of `*args, **kwargs` if it does not tell."""
    try:
        if sys.version_info >= (3, 14):
            # A name that only a type checker can see must not keep the function from being called.
            from annotationlib import Format  # noqa: PLC0415

            return inspect.signature(function, annotation_format=Format.FORWARDREF)
        return inspect.signature(function)
    except (TypeError, ValueError):  # Some functions written in C do not tell.
        anything = [Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]
        return inspect.Signature(anything)


def _is_callable_class(kind: type) -> bool:
    return any("__call__" in vars(base) for base in kind.__mro__)


class Annotations:
    """The annotations of one function, resolved one by one: one that cannot be leaves the others as they are."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._names = _names_around(function)

    def of(self, parameter: Parameter) -> tuple[Any, str]:
        """The parameter's annotation, or Any and why it could not be resolved."""
        if parameter.annotation is Parameter.empty:
            return Any, ""
        return self.resolved(parameter.annotation)

    def unpacked(self, kind: Any, key: str) -> tuple[Any, str]:  # noqa: ANN401  # an annotation is any object
        """The annotation of one key of a TypedDict; Any where `kind` is none, or has no such key."""
        if not is_typeddict(kind) or key not in kind.__annotations__:
            return Any, ""
        try:
            annotation = typing.get_type_hints(kind, include_extras=True)[key]
        except _UNRESOLVABLE as error:
            return Any, f"{error}"
        while get_origin(annotation) in {typing.Required, typing.NotRequired}:
            (annotation,) = get_args(annotation)
        return annotation, ""

    def resolved(self, annotation: object) -> tuple[Any, str]:
        """What an annotation of the function says, or Any and why it could not be resolved."""
        carrier = types.SimpleNamespace(__annotations__={"it": annotation})
        try:
            return typing.get_type_hints(carrier, globalns=self._names, include_extras=True)["it"], ""
        except _UNRESOLVABLE as error:
            return Any, f"{error}"


def _names_around(function: Any) -> dict[str, Any]:  # noqa: ANN401  # any callable
    """The names that the function's annotations may use: those of its module."""
    while isinstance(function, functools.partial | types.MethodType):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    if not isinstance(function, types.FunctionType):
        kind = function if isinstance(function, type) else type(function)
        method = "__init__" if isinstance(function, type) else "__call__"
        function = getattr(kind, method, function)
    try:
        function = inspect.unwrap(function)
    except ValueError:  # A function that wraps itself.
        return {}
    names: dict[str, Any] = getattr(function, "__globals__", {})
    return names
