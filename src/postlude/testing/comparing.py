"""Whether a call is the one that a test expects, and how calls are shown to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postlude.codec.signatures import inspected
from postlude.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from postlude.definition import TaskDefinition

Arguments = tuple[tuple[Any, ...], "Mapping[str, Any]"]


def same_arguments(definition: TaskDefinition, expected: Arguments, found: Arguments) -> bool:
    """Whether the function would see equal arguments, given by position or by name, or left to their defaults."""
    return _bound(definition, *expected) == _bound(definition, *found)


def check_binds(definition: TaskDefinition, expected: Arguments) -> None:
    """Nothing, if there could be such a call.

    Raises:
        CallError: there could not, so that no test should look for it.
    """
    try:
        _bound(definition, *expected)
    except TypeError as error:
        message = (
            f"No call of {definition.name} is {shown(definition.name, *expected)}: {error}. Give the arguments of the "
            "call that is expected, and unittest.mock.ANY for one that may be anything."
        )
        raise CallError(message) from None


def _bound(definition: TaskDefinition, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    if definition.plan is not None:
        bound = definition.plan.bind(args, kwargs)
    else:
        bound = inspected(definition.function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def shown(name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """The call as it would be written down."""
    parts = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    return f"{name}({', '.join(parts)})"


def missing(expected: str, added: Iterable[str], discarded: Iterable[str] = ()) -> str:
    """The message of an assertion that did not find a call.

    Args:
        expected: the call.
        added: those that were, a line for each.
        discarded: those that were added and then dropped, a line for each.
    """
    return f"{expected} was not added." + (_listed("added", added) or " Nothing was.") + _listed("discarded", discarded)


def _listed(what: str, lines: Iterable[str]) -> str:
    found = "".join(f"\n  {line}" for line in lines)
    return found and f"\nWhat was {what}:{found}"
