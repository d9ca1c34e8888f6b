"""The places in the code where tasks are added, and whether their calls could be stored."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from postlude.errors import NotStorable, PostludeError
from postlude.stock.record import Refused, Site
from postlude.tasks import DECLARATION, UNDECLARED, Declaration, default_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from postlude.registry import Registry
    from postlude.stock.recorder import Recorder

MOST_SHAPES: Final = 10_000
"""How many shapes of calls are told from one another; those that come later are not tried."""


class Sites:
    """Numbers the call sites of one process, and tries whether their calls could be stored.

    Of the calls of a site whose arguments have the same types, the first is tried, the second, the fourth, the eighth,
    and so on: as Postlude would write it down, to the last type. Nothing is kept of it.

    Args:
        recorder: told of each new site, and of the first call at it that could not have been stored.
        registry: which functions are tasks.
    """

    def __init__(self, recorder: Recorder, registry: Registry) -> None:
        self._recorder = recorder
        self._registry = registry
        self._numbers: dict[tuple[str, int, str], int] = {}
        self._calls: dict[tuple[object, ...], int] = {}
        self._refused: set[int] = set()

    def number(
        self, frame: FrameType, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> int:
        """The number of the site at which this call is added."""
        key = frame.f_code.co_filename, frame.f_lineno, default_name(function)
        number = self._numbers.get(key)
        if number is None:
            number = self._recorder.number()
            self._recorder.note(("site", number, *_site(*key, function)))
            self._numbers[key] = number
        shape = (number, *map(type, args), *kwargs, *map(type, kwargs.values()))
        calls = self._calls.get(shape, 0) + 1
        if calls > 1 or len(self._calls) < MOST_SHAPES:
            self._calls[shape] = calls
            if not calls & (calls - 1) and number not in self._refused:
                self._try(number, function, args, kwargs)
        return number

    def _try(self, number: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            definition = self._registry.of(function)
            definition.codec.encode(args, kwargs)
            refused = definition.unstorable
        except NotStorable as error:
            refused = error
        except PostludeError as error:
            self._refuse(number, Refused(str(error), ""))
            return
        if refused is not None:
            subject = "" if refused.argument is None else f"argument {refused.argument!r}: "
            self._refuse(number, Refused(f"{subject}{refused.reason}", refused.cure))

    def _refuse(self, number: int, refused: Refused) -> None:
        self._refused.add(number)
        self._recorder.note(("refused", number, *refused))


def _site(file: str, line: int, task: str, function: Callable[..., Any]) -> Site:
    declaration: Declaration = getattr(function, DECLARATION, UNDECLARED)
    code = _code_of(function)
    return Site(
        file,
        line,
        task,
        source=None if code is None else code.co_filename,
        name=task.rpartition(".")[2].rpartition(":")[2] if code is None else code.co_name,
        first_line=0 if code is None else code.co_firstlineno,
        decided=declaration.interrupted is not None,
    )


def _code_of(function: Any) -> CodeType | None:  # noqa: ANN401 - whatever was given to add_task
    """The code that runs; None for what is written in C."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not hasattr(function, "__code__"):
        function = getattr(type(function), "__call__", None)  # noqa: B004 - it is its code that is asked for
    code: CodeType | None = getattr(function, "__code__", None)
    return code
