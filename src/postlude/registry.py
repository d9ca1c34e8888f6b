"""From a function to its task and back: what one application may run, and why it may not run something else."""

from __future__ import annotations

import functools
import inspect
import sys
from importlib import import_module
from types import BuiltinMethodType, MethodType
from typing import TYPE_CHECKING, Any

from postlude.codec import check_callable
from postlude.codec.results import decode_plainly
from postlude.definition import TaskDefinition
from postlude.errors import NotStorable, TaskDeclarationError, UnknownTask
from postlude.executors.registered import Executors
from postlude.source import belongs, may_import
from postlude.tasks import (
    DECLARATION,
    UNDECLARED,
    Declaration,
    declared,
    default_name,
    importable_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from postlude.policy import WhenInterrupted


class Registry:
    """The tasks that one application may run, by function and by name.

    Args:
        root: the application's source root; functions of modules below it may be named in the store. None: none may,
            unless they are declared or allowed.
        allow: functions elsewhere that may be, as `module:name`.
        interrupted: the policy of tasks that declare none.
        executors: those that tasks may name; None: those that are always there.
    """

    def __init__(
        self,
        root: Path | None,
        *,
        allow: Iterable[str] = (),
        interrupted: WhenInterrupted = "rerun",
        executors: Executors | None = None,
    ) -> None:
        self.root = root
        self.executors: Executors = Executors() if executors is None else executors
        self._interrupted = interrupted
        # By identity: callables may be equal and do different things. Only what can be stored is kept, and a definition
        # keeps its function, so no id here is given to another. The rest are often new objects at each request, and
        # keeping them would keep all that they refer to.
        self._by_function: dict[object, TaskDefinition] = {}
        self._by_name: dict[str, TaskDefinition] = {}
        # A name that is not known may become so with the next declaration, or the next executor, so the count of them
        # goes with it.
        self._unknown: dict[str, tuple[int, UnknownTask]] = {}
        self._allowed = {_identity(function): (name, function) for name, function in map(_load_allowed, allow)}

    def of(self, function: Callable[..., Any]) -> TaskDefinition:
        """The definition of a function, made when it is first seen; each time anew if it cannot be stored.

        Raises:
            CallError: it is not something that can be called.
            TaskDeclarationError: it names an executor that is not there.
        """
        known = self._by_function.get(_identity(function))
        if known is not None:
            return known
        definition = self._define(function)
        if definition.executor not in self.executors:
            message = f"{definition.name} cannot be run: {self.executors.unknown(definition.executor)}."
            raise TaskDeclarationError(message)
        if definition.unstorable is None:
            self._by_function[_identity(function)] = self._by_name[definition.name] = definition
        return definition

    def find(self, name: str) -> TaskDefinition:
        """The definition under a stored name.

        Raises:
            UnknownTask: nothing that may be run here has this name. The message says why.
        """
        found = self._by_name.get(name)
        if found is not None:
            return found
        declarations, error = self._unknown.get(name, (-1, None))
        known = len(declared) + len(self.executors)
        if error is not None and declarations == known:
            raise error.with_traceback(None)
        try:
            found = self._by_name[name] = self._resolve(name)
        except UnknownTask as unknown:
            self._unknown[name] = (known, unknown)
            raise
        return found

    def read_result(self, name: str, text: str) -> Any:  # noqa: ANN401 - a value of the user's type
        """What a job of the task with this name returned: by its annotation, or plainly if it is not known here.

        Raises:
            DoesNotFit: the annotation does not take what is stored, or no longer does.
        """
        return self.find(name).results.decode(text) if self.knows(name) else decode_plainly(text)

    def knows(self, name: str) -> bool:
        """Whether `find` would give a definition."""
        try:
            self.find(name)
        except UnknownTask:
            return False
        return True

    def names(self) -> set[str]:
        """The names of the tasks that were declared with one, or seen here."""
        return {*declared, *self._by_name}

    def name_of(self, task: str | Callable[..., Any]) -> str:
        """The name of a task that is given by its function, or by its name."""
        return task if isinstance(task, str) else self.of(task).name

    def _define(self, function: Callable[..., Any]) -> TaskDefinition:
        check_callable(function)
        declaration: Declaration = getattr(function, DECLARATION, UNDECLARED)
        name, unstorable = self._name(function, declaration)
        told: list[str | int | None] | None = None
        if declaration.on_failure is not None:
            handler = self.of(declaration.on_failure)
            terms = handler.terms
            told = [handler.name, handler.policy_text, terms.queue, -terms.priority, "" if terms.limited else None]
            if unstorable is None and handler.unstorable is not None:
                reason = f"on_failure={handler.name} cannot be stored with it: {handler.unstorable.reason}"
                unstorable = NotStorable(name, reason, handler.unstorable.cure)
        return TaskDefinition(
            function, name, declaration, interrupted=self._interrupted, unstorable=unstorable, on_failure=told
        )

    def _name(self, function: Callable[..., Any], declaration: Declaration) -> tuple[str, NotStorable | None]:
        name = default_name(function)
        if declaration.name is not None:
            reason = _misled(function, declaration.name)
            return declaration.name, None if reason is None else NotStorable(declaration.name, *reason)
        allowed = self._allowed.get(_identity(function))
        if allowed is not None:
            return allowed[0], None
        reason = _unreachable(function, name)
        if reason is not None:
            return name, NotStorable(name, *reason)
        module = sys.modules.get(getattr(function, "__module__", ""))
        if getattr(function, DECLARATION, None) is None and not belongs(module, self.root):
            public = _public_name(function, name)
            reason_text = f"it lies outside the application's source root ({self.root})"
            return name, NotStorable(name, reason_text, f'To store its calls: Postlude(app, allow=["{public}"]).')
        return name, None

    def _resolve(self, name: str) -> TaskDefinition:
        function = _declared_as(name)
        if function is not None:
            return self._runnable(name, function)
        for allowed, function in self._allowed.values():
            if allowed == name:
                return self._define(function)
        module_name, separator, qualname = name.partition(":")
        if not separator:
            reason = "no imported module declares it (name the module in Postlude(app, tasks=[...]))"
            raise UnknownTask(name, reason, known=declared)
        return self._runnable(name, self._import(name, module_name, qualname))

    def _runnable(self, name: str, function: Callable[..., Any]) -> TaskDefinition:
        try:
            definition = self.of(function)
        except TaskDeclarationError as error:
            raise UnknownTask(name, str(error)) from error
        if definition.unstorable is not None:
            raise UnknownTask(name, definition.unstorable.reason)
        return definition

    def _import(self, name: str, module_name: str, qualname: str) -> Callable[..., Any]:
        """Import a function, but only from a module that was imported already or lies below the source root."""
        module = sys.modules.get(module_name)
        if module is None and importable_name("__main__") == module_name:
            module = sys.modules["__main__"]
        if module is None:
            if not may_import(module_name, self.root):
                raise UnknownTask(name, f"there is no module {module_name!r} below {self.root}")
            try:
                module = import_module(module_name)
            except (Exception, SystemExit) as error:  # a script ends the process that imports it
                raise UnknownTask(name, f"importing {module_name!r} raised {error!r}") from error
        found: Callable[..., Any] | None = attribute(module, qualname)
        if not callable(found):
            functions = [f"{module_name}:{key}" for key, value in vars(module).items() if callable(value)]
            raise UnknownTask(name, f"{module_name!r} has no function {qualname!r}", known=functions)
        return found


def attribute(module: object, qualname: str) -> Any:  # noqa: ANN401 - whatever has that name
    """What the dotted name leads to in the module; None if it leads nowhere."""
    found = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _load_allowed(name: str) -> tuple[str, Callable[..., Any]]:
    module_name, _, qualname = name.partition(":")
    found: Any
    try:
        found = import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        message = f"allow={name!r}: {error}. Expected 'module:name' of a function that can be imported."
        raise TaskDeclarationError(message) from error
    return name, found


def _identity(function: object) -> object:
    """The same for the same callable: a method of a class is a new object each time it is looked up."""
    if isinstance(function, MethodType):
        return id(function.__self__), id(function.__func__)
    if isinstance(function, BuiltinMethodType) and inspect.isclass(function.__self__):
        return id(function.__self__), function.__name__
    return id(function)


def _is_same(one: object, other: object) -> bool:
    # The methods of a class are equal if they are the same; other callables decide for themselves what equal means.
    return one is other or (isinstance(one, MethodType | BuiltinMethodType) and one == other)


def _declared_as(name: str) -> Callable[..., Any] | None:
    """What a name given by `@task(name=)` leads to.

    That is what the module has in the place of the declared function, if it carries the very declaration: a class
    method, or a wrapper made by `functools.wraps`. It is what calls in the module mean.
    """
    function = declared.get(name)
    if function is None:
        return None
    _, _, qualname = default_name(function).partition(":")
    outer: Any = attribute(sys.modules.get(getattr(function, "__module__", None) or ""), qualname)
    carried = getattr(outer, DECLARATION, None)
    if callable(outer) and carried is not None and carried is getattr(function, DECLARATION, None):
        found: Callable[..., Any] = outer
        return found
    return function


_CURE = "Use a function at the top level of a module, and pass what it needs as arguments."


def _misled(function: Callable[..., Any], name: str) -> tuple[str, str] | None:
    """Why a name given by `@task(name=)` leads another process to something else; None if it does not."""
    bound = bound_here(function, default_name(function))
    if bound is not None:
        return bound
    if _is_same(_declared_as(name), function):
        return None
    if hasattr(function, "__wrapped__"):
        return (
            f"the name {name!r} leads to the function inside the wrapper",
            "Put @task outermost, above what wraps the function.",
        )
    return f"the name {name!r} does not lead back to it", "Give it a name of its own with @task(name=...)."


def bound_here(function: Callable[..., Any], name: str) -> tuple[str, str] | None:
    """Why this callable is part of what only this process has; None if it is not."""
    if "<lambda>" in name:
        return "it is a lambda", _CURE
    if "<locals>" in name:
        return "it is defined inside another function", _CURE
    owner = getattr(function, "__self__", None)
    if owner is not None and not inspect.isclass(owner) and not inspect.ismodule(owner):
        return f"it is a method of one {type(owner).__name__} object, which stays in this process", _CURE
    return None


def _unreachable(function: Callable[..., Any], name: str) -> tuple[str, str] | None:
    """Why another process could not find this function by its name: the reason and the cure; None if it could."""
    if isinstance(function, functools.partial):
        return "it is a partial", "Pass the function itself and its arguments: add_task(function, ...)."
    bound = bound_here(function, name)
    if bound is not None:
        return bound
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(getattr(function, "__module__", None) or module_name)
    if not _is_same(attribute(module, qualname), function):
        return f"the name {name!r} does not lead back to it", "Give it a name of its own with @task(name=...)."
    return None


def _public_name(function: Callable[..., Any], name: str) -> str:
    """Where people import a built-in from: `os:remove`, not `posix:remove`."""
    if sys.modules["os"].__dict__.get(function.__name__) is function:
        return f"os:{function.__name__}"
    return name


def import_tasks(modules: Iterable[str]) -> None:
    """Import the modules that declare tasks.

    Raises:
        TaskDeclarationError: one cannot be imported.
    """
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            message = f"tasks={module!r}: {error}. Expected the dotted name of a module, such as 'app.tasks'."
            raise TaskDeclarationError(message) from error
