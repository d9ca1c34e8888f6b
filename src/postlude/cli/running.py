"""What all commands on a store have in common: how it is found, what is printed of an error, and the exit code."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
import os
import sys
import types
import typing
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from postlude.cli.codes import CUT_OFF, DONE
from postlude.cli.opened import look_up, opened
from postlude.cli.printing import Output
from postlude.errors import PostludeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    Command = Callable[..., Awaitable[int | None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Common:
    """The options that every command on a store has."""

    app: Annotated[
        str | None,
        typer.Option(
            metavar="main:app",
            show_default=False,
            help="The application, named as for `postlude worker`. Default: the one found in this folder, if there "
            "is one; then the store that POSTLUDE_URL names, or the default file.",
            rich_help_panel="Where",
        ),
    ] = None
    url: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Only the store at this URL, without any application.",
            rich_help_panel="Where",
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.", rich_help_panel="Where")] = False


def on_store(**groups: type) -> Callable[[Command], Callable[..., None]]:
    """Make a command of a coroutine function whose first parameter is the open store.

    The function returns the exit code, or None for 0.

    Args:
        groups: for parameters of the function, dataclasses whose fields become options in their place.
    """

    def decorate(function: Command) -> Callable[..., None]:
        def work(common: Common, out: Output, given: Mapping[str, Any]) -> int | None:
            async def look() -> int | None:
                async with opened(look_up(common.app, common.url, out), out) as found:
                    return await function(found, **given)

            return asyncio.run(look())

        return _command(function, groups, work, skipped=1)

    return decorate


def on_place(**groups: type) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """The same of a function that takes the place where jobs are kept, which is not opened, and what answers."""

    def decorate(function: Callable[..., int | None]) -> Callable[..., None]:
        def work(common: Common, out: Output, given: Mapping[str, Any]) -> int | None:
            return function(look_up(common.app, common.url, out), out, **given)

        return _command(function, groups, work, skipped=2)

    return decorate


def _command(
    function: Callable[..., Any],
    groups: Mapping[str, type],
    work: Callable[[Common, Output, Mapping[str, Any]], int | None],
    *,
    skipped: int,
) -> Callable[..., None]:
    fields = {name: [field.name for field in dataclasses.fields(group)] for name, group in groups.items()}

    @functools.wraps(function)
    def command(**given: Any) -> None:
        common = Common(**{field.name: given.pop(field.name) for field in dataclasses.fields(Common)})
        for name, group in groups.items():
            given[name] = group(**{field: given.pop(field) for field in fields[name]})
        out = Output(json=common.json)
        raise typer.Exit(ended(lambda: work(common, out, given), out))

    take(command, [*_own_parameters(function, groups, skipped), *fields_of(Common)])
    return command


def ended(work: Callable[[], int | None], out: Output) -> int:
    """What `work` returns, or the code of what has ended it, after that was said."""
    try:
        return work() or DONE
    except PostludeError as error:
        return out.refuse(error)
    except KeyboardInterrupt:
        return CUT_OFF
    except BrokenPipeError:
        # Whoever read it has enough, as `head` has. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def take(command: Callable[..., Any], parameters: Iterable[Parameter]) -> None:
    """Have the command line of a function be these parameters, given by name."""
    found = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters]
    given: Any = command
    given.__signature__ = inspect.Signature(found)
    given.__annotations__ = {each.name: each.annotation for each in found}


def _own_parameters(function: Callable[..., Any], groups: Mapping[str, type], skipped: int) -> list[Parameter]:
    """Those of a function, but for the first ones; the fields of a group in its place."""
    own = list(inspect.signature(function).parameters.values())[skipped:]
    hints = _hints({each.name: each.annotation for each in own if each.name not in groups}, function)
    found: list[Parameter] = []
    for each in own:
        if each.name in groups:
            found += fields_of(groups[each.name])
        else:
            found.append(each.replace(annotation=hints[each.name]))
    return found


def fields_of(group: type) -> list[Parameter]:
    """The fields of a dataclass as parameters."""
    module = sys.modules[group.__module__]
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(group)
    hints = _hints({each.name: each.type for each in fields}, module)
    return [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields
    ]


def _hints(annotations: dict[str, Any], around: object) -> dict[str, Any]:
    """What annotations say, with the names that they may use."""
    names = vars(around) if isinstance(around, types.ModuleType) else getattr(around, "__globals__", {})
    carrier = types.SimpleNamespace(__annotations__=annotations)
    return typing.get_type_hints(carrier, globalns=names, include_extras=True)
