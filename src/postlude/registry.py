"""From a function to its task and back: what one application may run, and why it may not run something else."""

from __future__ import annotations

import functools
import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from postlude.codec import check_callable
from postlude.errors import NotStorable, TaskDeclarationError, UnknownTask
from postlude.source import belongs, may_import
from postlude.tasks import DECLARATION, UNDECLARED, Declaration, TaskDefinition, declared, default_name, importable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from postlude.settings import WhenInterrupted


class Registry:
    """The tasks that one application may run, by function and by name.

    Args:
        root: the application's source root; functions of modules below it may be named in the store. None: none may,
            unless they are declared or allowed.
        allow: functions elsewhere that may be, as `module:name`.
        interrupted: the policy of tasks that declare none.
    """

    def __init__(self, root: Path | None, *, allow: Iterable[str] = (), interrupted: WhenInterrupted = "rerun") -> None:
        self.root = root
        self._interrupted = interrupted
        self._by_function: dict[object, TaskDefinition] = {}
        self._by_name: dict[str, TaskDefinition] = {}
        # A name that is not known may become so with the next declaration, so the count of them goes with it.
        self._unknown: dict[str, tuple[int, UnknownTask]] = {}
        self._allowed = {id(function): (name, function) for name, function in map(_load_allowed, allow)}

    def of(self, function: Callable[..., Any]) -> TaskDefinition:
        """The definition of a function, made when it is first seen.

        Raises:
            CallError: it is not something that can be called.
        """
        try:
            return self._by_function[function]
        except KeyError:
            definition = self._by_function[function] = self._define(function)
            if definition.unstorable is None:
                self._by_name[definition.name] = definition
            elif "<locals>" in definition.name or "<lambda>" in definition.name:
                # A closure is a new object at each request: keeping it would keep all that it refers to.
                del self._by_function[function]
            return definition
        except TypeError:  # an unhashable callable
            return self._define(function)

    def find(self, name: str) -> TaskDefinition:
        """The definition under a stored name.

        Raises:
            UnknownTask: nothing that may be run here has this name. The message says why.
        """
        found = self._by_name.get(name)
        if found is not None:
            return found
        declarations, error = self._unknown.get(name, (-1, None))
        if error is not None and declarations == len(declared):
            raise error.with_traceback(None)
        try:
            found = self._by_name[name] = self._resolve(name)
        except UnknownTask as unknown:
            self._unknown[name] = (len(declared), unknown)
            raise
        return found

    def knows(self, name: str) -> bool:
        """Whether `find` would give a definition."""
        try:
            self.find(name)
        except UnknownTask:
            return False
        return True

    def _define(self, function: Callable[..., Any]) -> TaskDefinition:
        check_callable(function)
        declaration: Declaration = getattr(function, DECLARATION, UNDECLARED)
        name, unstorable = self._name(function, declaration)
        return TaskDefinition(function, name, declaration, interrupted=self._interrupted, unstorable=unstorable)

    def _name(self, function: Callable[..., Any], declaration: Declaration) -> tuple[str, NotStorable | None]:
        name = default_name(function)
        if declaration.name is not None:
            return declaration.name, None
        if id(function) in self._allowed:
            return self._allowed[id(function)][0], None
        reason = _unreachable(function, name)
        if reason is not None:
            return name, NotStorable(name, *reason)
        module = sys.modules.get(getattr(function, "__module__", ""))
        if getattr(function, DECLARATION, None) is None and not belongs(module, self.root):
            public = _public_name(function, name)
            reason_text = f"it lies outside the application's source root ({self.root})"
            return name, NotStorable(name, reason_text, f'To store its calls: Postlude(app, allow=["{public}"])')
        return name, None

    def _resolve(self, name: str) -> TaskDefinition:
        function = declared.get(name)
        if function is not None:
            return self._define(function)
        for allowed, function in self._allowed.values():
            if allowed == name:
                return self._define(function)
        module_name, separator, qualname = name.partition(":")
        if not separator:
            reason = "no imported module declares it (name the module in Postlude(app, tasks=[...]))"
            raise UnknownTask(name, reason, known=declared)
        function = self._import(name, module_name, qualname)
        definition = self.of(function)
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
            except Exception as error:
                raise UnknownTask(name, f"importing {module_name!r} raised {error!r}") from error
        found: Callable[..., Any] | None = _attribute(module, qualname)
        if not callable(found):
            functions = [f"{module_name}:{key}" for key, value in vars(module).items() if callable(value)]
            raise UnknownTask(name, f"{module_name!r} has no function {qualname!r}", known=functions)
        return found


def _attribute(module: object, qualname: str) -> Any:  # noqa: ANN401 - whatever has that name
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


def _unreachable(function: Callable[..., Any], name: str) -> tuple[str, str] | None:
    """Why another process could not find this function by its name: the reason and the cure; None if it could."""
    cure = "Use a function at the top level of a module, and pass what it needs as arguments."
    if isinstance(function, functools.partial):
        return "it is a partial", "Pass the function itself and its arguments: add_task(function, ...)."
    if "<lambda>" in name:
        return "it is a lambda", cure
    if "<locals>" in name:
        return "it is defined inside another function", cure
    owner = getattr(function, "__self__", None)
    if owner is not None and not inspect.isclass(owner) and not inspect.ismodule(owner):
        return f"it is a method of one {type(owner).__name__} object, which stays in this process", cure
    module_name, _, qualname = name.partition(":")
    module = sys.modules.get(getattr(function, "__module__", None) or module_name)
    if _attribute(module, qualname) != function:
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
