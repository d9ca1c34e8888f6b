"""Which tasks an application has, as far as that shows without running it.

Any function of the application may become a task when it is first added. Those that are known are the declared ones,
those with a schedule, those that are allowed, and those that the application's own code is seen to add.
"""

from __future__ import annotations

import ast
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final

from postlude.cli.codes import NoSuchTask
from postlude.errors import CallError, TaskDeclarationError, UnknownTask
from postlude.given import did_you_mean
from postlude.registry import attribute
from postlude.scheduling import scheduled_tasks
from postlude.source import belongs
from postlude.tasks import DECLARATION, default_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from postlude.definition import TaskDefinition
    from postlude.registry import Registry
    from postlude.standalone.finding import Found

_ADDING: Final = frozenset({"add_task", "enqueue", "enqueue_many"})
"""What a function is given to that becomes a task."""


def known_tasks(found: Found) -> list[TaskDefinition]:
    """The tasks of an application that other processes can run, by name."""
    registry = found.engine.registry
    tasks = {each.task.name: each.task for each in scheduled_tasks(registry).values()}
    for name in (*registry.names(), *found.engine.settings.allow):
        _add(tasks, registry, name)
    for module in [each for name, each in tuple(sys.modules.items()) if _is_own(name, each, registry)]:
        for function in _of(module):
            _add(tasks, registry, function)
    return [tasks[name] for name in sorted(tasks)]


def find_task(found: Found, name: str) -> TaskDefinition:
    """The task that is meant: by its name, or by that of its function where no other task has the same.

    Raises:
        NoSuchTask: there is none, or more than one.
    """
    registry = found.engine.registry
    try:
        return registry.find(name)
    except UnknownTask:
        known = known_tasks(found)
        meant = [each for each in known if name in {each.name.rpartition(":")[2], _called(each)}]
        if len(meant) == 1:
            return meant[0]
    if meant:
        message = f"{name!r} may be {' or '.join(each.name for each in meant)}: write it as that."
        raise NoSuchTask(message)
    hint = did_you_mean(name, [*(_called(each) for each in known), *(each.name for each in known)])
    message = f"{found.text} has no task {name!r}.{hint} `postlude tasks list` shows those that are known."
    raise NoSuchTask(message)


def _is_own(name: str, module: ModuleType, registry: Registry) -> bool:
    """Whether a module is the application's own; Postlude may lie beside it where it is developed."""
    return name.partition(".")[0] != "postlude" and belongs(module, registry.root)


def _called(task: TaskDefinition) -> str:
    return default_name(task.function).rpartition(":")[2]


def _add(tasks: dict[str, TaskDefinition], registry: Registry, task: str | Callable[..., Any]) -> None:
    """Put the definition with the others, if it is of a task that any process can run."""
    try:
        definition = registry.find(task) if isinstance(task, str) else registry.of(task)
    except (UnknownTask, CallError, TaskDeclarationError):
        return
    if definition.unstorable is None:
        tasks[definition.name] = definition


def _of(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """The functions of a module that it declares, or adds somewhere."""
    for value in tuple(vars(module).values()):
        if getattr(value, DECLARATION, None) is not None and callable(value):
            yield value
    try:
        source = inspect.getsource(module)
        # Most modules add nothing, and need not be taken apart.
        tree = ast.parse(source if any(word in source for word in _ADDING) else "")
    except (OSError, TypeError, SyntaxError):
        return
    for call in ast.walk(tree):
        name = _added(call)
        function = None if name is None else attribute(module, name)
        if inspect.isroutine(function):
            yield function


def _added(node: ast.AST) -> str | None:
    """The dotted name of what a call adds as a task; None if it is no such call."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _ADDING:
        return None
    first = node.args[0] if node.args else None
    return ast.unparse(first) if isinstance(first, ast.Name | ast.Attribute) else None
