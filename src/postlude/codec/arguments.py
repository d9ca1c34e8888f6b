"""The arguments of the calls of one function, as JSON and back."""

from __future__ import annotations

import inspect
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from postlude.codec.forms import EVERY_SCALAR, DoesNotFit, Written
from postlude.codec.refusals import Refusal
from postlude.codec.signatures import Signature
from postlude.errors import ArgumentsDoNotFit, ArgumentsTooLarge, CallError, NotStorable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from postlude.codec.signatures import Binding, Target

MAX_ARGUMENTS = 1_048_576
"""How many bytes of JSON the arguments of one call may take."""

_CACHED_SHAPES = 256
_NUMBERS = frozenset({int, float})


class Encoded:
    """The arguments of one call, written down."""

    # No tuple with names: one takes twice as long to make, and this is made for each call.
    __slots__ = ("args", "kwargs", "text")

    def __init__(self, text: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.text: str = text
        """The JSON that is stored."""
        self.args: tuple[Any, ...] = args
        """The decoded copy, for a run in this process: it shares nothing that can change with what the caller has."""
        self.kwargs: dict[str, Any] = kwargs


class Codec:
    """How the calls of one function are written down and read back.

    Nothing about the function is looked at before its first call, so that a codec can be made for anything.
    """

    def __init__(self, function: Callable[..., Any], *, name: str, binding: Binding | None = None) -> None:
        self._function = function
        self._binding = binding
        self._name = name
        # Calls, by the types of their arguments, that are JSON as they stand; the value: whether there are numbers.
        self._plain: dict[tuple[object, ...], bool] = {}

    @cached_property
    def _signature(self) -> Signature:
        return Signature(self._function, self._binding)

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Encoded:
        """The call as JSON that is known to give equal arguments of the same types back.

        Raises:
            CallError: the arguments do not bind to the function's signature.
            NotStorable: an argument would not come back as it is.
            ArgumentsTooLarge: the JSON is larger than `MAX_ARGUMENTS`.
        """
        kwargs = dict(kwargs)
        # Strings stand between types, so calls of different shapes never look alike.
        shape = (*map(type, args), *kwargs, *map(type, kwargs.values())) if kwargs else tuple(map(type, args))
        try:
            has_numbers = self._plain[shape]
            if not has_numbers or _exact_numbers(args, kwargs):
                raw = to_json({"args": args, "kwargs": kwargs})
                if len(raw) <= MAX_ARGUMENTS:
                    return Encoded(raw.decode(), args, kwargs)
        except (KeyError, TypeError, ValueError):
            pass  # A call not seen yet, or what the careful way has an answer for: lone surrogates, for instance.
        return self._encode_carefully(args, kwargs, shape)

    def decode(self, text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that `encode` wrote as `text`.

        Raises:
            ArgumentsDoNotFit: the function does not take them, or no longer does.
        """
        try:
            stored = from_json(text)
            args, kwargs = tuple(stored["args"]), stored["kwargs"]
            shape = (*map(type, args), *kwargs, *map(type, kwargs.values()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArgumentsDoNotFit(self._name, "they are not in the form that Postlude writes") from error
        if shape in self._plain:
            return args, kwargs
        try:
            positional, keywords = self._signature.targets(len(args), tuple(kwargs))
        except TypeError as error:
            raise ArgumentsDoNotFit(self._name, f"{error}") from error
        self._remember(shape, (*positional, *keywords.values()))
        return (
            tuple([self._read(target, value) for target, value in zip(positional, args, strict=True)]),
            {name: self._read(target, kwargs[name]) for name, target in keywords.items()},
        )

    def _encode_carefully(self, args: tuple[Any, ...], kwargs: dict[str, Any], shape: tuple[object, ...]) -> Encoded:
        try:
            positional, keywords = self._signature.targets(len(args), tuple(kwargs))
        except TypeError as error:
            raise self._signature.mistake(self._name, args, kwargs, str(error)) from None
        written = [self._write(target, value) for target, value in zip(positional, args, strict=True)]
        named = {name: self._write(target, kwargs[name]) for name, target in keywords.items()}
        if any(not name.isprintable() for name in named):
            self._refuse_names(named)
        self._remember(shape, (*positional, *keywords.values()))
        raw = b'{"args":[%b],"kwargs":{%b}}' % (
            b",".join([one.json for one in written]),
            b",".join([b"%b:%b" % (to_json(name), one.json) for name, one in named.items()]),
        )
        if len(raw) > MAX_ARGUMENTS:
            raise ArgumentsTooLarge(self._name, len(raw), MAX_ARGUMENTS)
        copies = {name: one.copy for name, one in named.items()}
        return Encoded(raw.decode(), tuple([one.copy for one in written]), copies)

    def _remember(self, shape: tuple[object, ...], targets: tuple[Target, ...]) -> None:
        """Keep the shape for next time if every argument is JSON as it stands."""
        kinds = [kind for kind in shape if type(kind) is not str]
        if len(self._plain) < _CACHED_SHAPES and all(
            kind in EVERY_SCALAR and kind in target.form.scalars for kind, target in zip(kinds, targets, strict=True)
        ):
            self._plain[shape] = not _NUMBERS.isdisjoint(kinds)

    def _write(self, target: Target, value: object) -> Written:
        try:
            return target.form.write(value)
        except Refusal as refusal:
            raise NotStorable(self._name, refusal.reason, refusal.cure, argument=target.name) from refusal.__cause__

    def _refuse_names(self, names: Iterable[str]) -> None:
        """Refuse keywords that UTF-8 cannot write: a dict given as `**kwargs` may have any."""
        for name in names:
            if name.encode(errors="replace").decode() != name:
                cure = "Pass the values as a dict in one argument."
                raise NotStorable(self._name, "its name has lone surrogates, which are no text", cure, argument=name)

    def _read(self, target: Target, stored: object) -> Any:  # noqa: ANN401  # a value of the user's type
        try:
            return target.form.read(stored)
        except DoesNotFit as misfit:
            raise ArgumentsDoNotFit(self._name, str(misfit), argument=target.name) from misfit


def check_callable(function: object) -> None:
    """Nothing, if `function` can be called.

    A class given instead of an instance can be called, and may be meant: `Codec.encode` finds it when the arguments do
    not fit the constructor.

    Raises:
        CallError: it cannot; a coroutine is closed, so that Python does not warn that it was never awaited.
    """
    if callable(function):
        return
    if inspect.iscoroutine(function) or inspect.isgenerator(function) or inspect.isasyncgen(function):
        name = function.__name__
        if inspect.iscoroutine(function):
            function.close()
        message = (
            f"Expected a function, got what calling {name}(...) returned. Pass the function and its arguments "
            f"separately, so that it is called when the task runs: add_task({name}, ...)."
        )
        raise CallError(message)
    message = (
        f"Expected a function, got {_shown(function)}. If the function was called in place, as in add_task(f(x)), "
        "it has already run: pass it and its arguments separately, add_task(f, x)."
    )
    raise CallError(message)


def _shown(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__qualname__}"


def _exact_numbers(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether all numbers are finite, and none is so long that its digits might not be read back."""
    try:
        for value in (*args, *kwargs.values()):
            if type(value) in _NUMBERS and not isfinite(value):
                return False
    except OverflowError:
        return False
    return True
