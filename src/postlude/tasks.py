"""Which functions are tasks, and how they want to be run: `@task`.

A function needs no decorator: one that a worker can import again by `module:qualname`, and that belongs to the
application, is a task as it is. `@task` gives it a lasting name and a policy.
"""

from __future__ import annotations

import functools
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, overload

from postlude.codec import Codec
from postlude.errors import TaskDeclarationError
from postlude.job import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from postlude.errors import NotStorable
    from postlude.job import WhenInterrupted

F = TypeVar("F", bound="Callable[..., Any]")
ExecutorName = Literal["loop", "thread"]

DECLARATION = "__postlude_task__"
"""The attribute that `@task` leaves on a function. The function itself is returned unchanged."""


class Declaration(NamedTuple):
    """What `@task` was given; None stands for the application's default."""

    name: str | None
    formerly: tuple[str, ...]
    executor: ExecutorName | None
    interrupted: WhenInterrupted | None
    max_interruptions: int | None


UNDECLARED = Declaration(None, (), None, None, None)

declared: dict[str, Callable[..., Any]] = {}
"""Names given by `@task(name=, formerly=)` in this process: importing a module makes its tasks known."""


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    name: str | None = None,
    formerly: str | Iterable[str] = (),
    executor: ExecutorName | None = None,
    interrupted: WhenInterrupted | None = None,
    max_interruptions: int | None = None,
) -> Callable[[F], F]: ...
def task(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    formerly: str | Iterable[str] = (),
    executor: ExecutorName | None = None,
    interrupted: WhenInterrupted | None = None,
    max_interruptions: int | None = None,
) -> F | Callable[[F], F]:
    """Say how a function is to be run in the background; it is returned as it is, and callable as ever.

    Args:
        function: the function, when the decorator is written without parentheses.
        name: the name kept with its jobs instead of `module:qualname`, so that the function can be moved and renamed.
        formerly: names under which jobs of this function were stored before.
        executor: `"loop"` or `"thread"`; by default `async def` runs on the event loop and `def` in a thread.
        interrupted: `"rerun"` (the application's default) runs a job again whose process died in mid-run; `"hold"` sets
            it aside for a person, for work that must not be done twice.
        max_interruptions: how many interruptions set a job aside even with `"rerun"`; 3 by default.

    Raises:
        TaskDeclarationError: the options contradict each other or the function, or the name is taken.
    """
    declaration = Declaration(
        name, (formerly,) if isinstance(formerly, str) else tuple(formerly), executor, interrupted, max_interruptions
    )

    def declare(function: F) -> F:
        _check(function, declaration)
        setattr(function, DECLARATION, declaration)
        for known_as in (declaration.name, *declaration.formerly):
            if known_as is not None:
                _announce(known_as, function)
        return function

    return declare if function is None else declare(function)


def _check(function: Callable[..., Any], declaration: Declaration) -> None:
    label = getattr(function, "__qualname__", repr(function))
    problems: list[str] = []
    if declaration.executor == "loop" and not is_async(function):
        problems.append(
            "executor='loop' needs an `async def` function: a `def` would block the loop. Leave executor out"
        )
    if declaration.executor == "thread" and is_async(function):
        problems.append("executor='thread' needs a `def` function: an `async def` runs on the loop. Leave executor out")
    if declaration.executor not in {None, "loop", "thread"}:
        problems.append(f"executor must be 'loop' or 'thread', got {declaration.executor!r}")
    if declaration.interrupted not in {None, "rerun", "hold"}:
        problems.append(f"interrupted must be 'rerun' or 'hold', got {declaration.interrupted!r}")
    most = declaration.max_interruptions
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        problems.append(f"max_interruptions must be a whole number, 1 or more, got {most!r}")
    problems += [
        f"a name must be a non-empty string, got {name!r}"
        for name in (declaration.name, *declaration.formerly)
        if name is not None and (not isinstance(name, str) or not name.strip())
    ]
    if problems:
        message = f"@task on {label}: " + "; ".join(problems) + "."
        raise TaskDeclarationError(message)


def _announce(name: str, function: Callable[..., Any]) -> None:
    other = declared.get(name)
    if other is not None and default_name(other) != default_name(function):
        message = (
            f"Two tasks are named {name!r}: {default_name(other)} and {default_name(function)}. "
            "A name leads to one function: give one of them another name."
        )
        raise TaskDeclarationError(message)
    declared[name] = function


def is_async(function: object) -> bool:
    """Whether calling the function gives a coroutine: `async def`, also under `partial` and as `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - its kind is asked, not its presence
    )


def default_name(function: Callable[..., Any]) -> str:
    """`module:qualname`, with the name under which `__main__` can be imported."""
    module = getattr(function, "__module__", None) or type(function).__module__
    qualname = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{importable_name(module)}:{qualname}"


def importable_name(module: str) -> str:
    """The name that another process imports: `python main.py` runs as `__main__` what others know as `main`."""
    if module != "__main__":
        return module
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    return Path(file).stem if file else module


class TaskDefinition:
    """A function as a task: its name, how its calls are written down, and how its jobs are treated."""

    __slots__ = ("codec", "executor", "function", "name", "policy", "policy_text", "unstorable")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        declaration: Declaration,
        *,
        interrupted: WhenInterrupted,
        unstorable: NotStorable | None,
    ) -> None:
        self.function: Callable[..., Any] = function
        self.name: str = name
        self.codec: Codec = Codec(function, name=name)
        self.executor: ExecutorName = declaration.executor or ("loop" if is_async(function) else "thread")
        self.policy: Policy = Policy(
            interrupted=declaration.interrupted or interrupted,
            max_interruptions=declaration.max_interruptions or Policy().max_interruptions,
        )
        self.policy_text: str | None = self.policy.dumps()
        self.unstorable: NotStorable | None = unstorable
        """Why no call of this function can be stored; None if the arguments decide."""
