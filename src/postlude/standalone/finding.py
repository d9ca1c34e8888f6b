"""Which application is meant, found as FastAPI's own command line finds it, and what Postlude has to do with it.

Its discovery is not imported: it is no part of FastAPI, and no public interface of the package that it is a part of.
"""

from __future__ import annotations

import inspect
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastapi import FastAPI

from postlude.errors import ApplicationNotFound
from postlude.executors.inside import importing
from postlude.fastapi import desk_of, is_disabled
from postlude.given import did_you_mean
from postlude.stock.watching import is_observed

if TYPE_CHECKING:
    from postlude.runtime import Runtime

USUAL = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")
"""Where an application is looked for that nobody names; the first that is there."""
_FORMS = "main:app, the path of a file or package such as app/main.py, or the name of a module"


class Named(NamedTuple):
    """Where an application is."""

    module: str
    name: str | None
    """In the module; None: the one that is there."""
    folder: Path
    """From which the module is imported."""
    said_by: str
    """Who named it, for people."""

    @property
    def text(self) -> str:
        """As it can be named."""
        return self.module if self.name is None else f"{self.module}:{self.name}"


class Found(NamedTuple):
    """An application with its engine."""

    app: FastAPI
    engine: Runtime
    text: str
    """How it is named: `main:app`."""


def find(given: str | None) -> Found:
    """Import the application, with the current folder first on the path.

    Args:
        given: `module:name`, a path, or the name of a module; None: what `[tool.fastapi] entrypoint` in the
            `pyproject.toml` of the current folder says, else what is in one of the usual places.

    Raises:
        ApplicationNotFound: there is none, or Postlude is not installed in it.
    """
    named = locate(given, Path.cwd())
    folder = str(named.folder)
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    return load(named)


def locate(given: str | None, here: Path) -> Named:
    """Where the application is; nothing is imported.

    Raises:
        ApplicationNotFound: nothing is where it was said to be, or nobody says where.
    """
    if given is not None:
        return _named(given, here)
    configured = _configured(here / "pyproject.toml")
    if configured is not None:
        module, _, name = configured.partition(":")
        if not module or not name:
            message = (
                f"entrypoint in [tool.fastapi] of pyproject.toml: expected module:name, such as 'main:app', got "
                f"{configured!r}."
            )
            raise ApplicationNotFound(message)
        return Named(module, name, here, "entrypoint in pyproject.toml")
    path = next((here / each for each in USUAL if (here / each).is_file()), None)
    if path is None:
        message = (
            f"No application was named, and {here} has none of {', '.join(USUAL)}. Name it, as in `postlude worker "
            'main:app`, start in its folder, or put entrypoint = "main:app" under [tool.fastapi] in pyproject.toml.'
        )
        raise ApplicationNotFound(message)
    return _in_file(path, None, str(path.relative_to(here)))


def _named(given: str, here: Path) -> Named:
    place, _, name = given.partition(":")
    path = here / place
    if not place:
        raise _malformed(given)
    if place.endswith(".py") or path.is_dir() or "/" in place:
        if not path.exists():
            message = f"There is no {path}: expected {_FORMS}, got {given!r}."
            raise ApplicationNotFound(message)
        return _in_file(path, name or None, given)
    if not all(part.isidentifier() for part in place.split(".")):
        raise _malformed(given)
    return Named(place, name or None, here, given)


def _malformed(given: str) -> ApplicationNotFound:
    return ApplicationNotFound(f"Expected {_FORMS}, got {given!r}.")


def _in_file(path: Path, name: str | None, said_by: str) -> Named:
    """In a module, or a package, that may be part of packages: those are the folders with an `__init__.py`."""
    path = path.resolve()
    if path.name == "__init__.py":
        path = path.parent
    parts, folder = [path.stem if path.is_file() else path.name], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return Named(".".join(parts), name, folder, said_by)


def _configured(file: Path) -> str | None:
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        tool: Any = tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        message = f"{file} cannot be read: {error}."
        raise ApplicationNotFound(message) from error
    found = tool.get("fastapi", {}).get("entrypoint")
    return None if found is None else str(found)


def load(named: Named) -> Found:
    """Import the application from where it is.

    Raises:
        ApplicationNotFound: it is not there, or Postlude is not installed in it. What else the import raises passes.
    """
    try:
        with importing():
            module = import_module(named.module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{named.module}.".startswith(f"{error.name}."):
            raise  # the module is there, and one that it imports is not
        message = f"There is no module {error.name!r} in {named.folder} ({named.said_by}): expected {_FORMS}."
        raise ApplicationNotFound(message) from error
    name = named.name or _name_in(module, named)
    found = app = getattr(module, name, None)
    if inspect.isfunction(found):
        app = _made_by(found, named)
    if not isinstance(app, FastAPI):
        raise ApplicationNotFound(_no_application(module, name, found, named))
    return Found(app, _engine_of(app, f"{named.module}:{name}"), f"{named.module}:{name}")


def _name_in(module: object, named: Named) -> str:
    """The name of the application of a module: `app`, `api`, or the first that is one."""
    names = ["app", "api", *sorted(vars(module))]
    found = next((name for name in names if isinstance(getattr(module, name, None), FastAPI)), None)
    if found is None:
        message = (
            f"{named.module} has no FastAPI application: name it, or the function that makes it, as in "
            f"`postlude worker {named.module}:create_app`."
        )
        raise ApplicationNotFound(message)
    return found


def _made_by(function: Any, named: Named) -> object:  # noqa: ANN401 - whatever the function makes
    try:
        inspect.signature(function).bind()
    except TypeError:
        return function
    with importing():
        made: object = function()
    if not isinstance(made, FastAPI):
        message = f"{named.text}() was to make a FastAPI application, and made {made!r}."
        raise ApplicationNotFound(message)
    return made


def _no_application(module: object, name: str, found: object, named: Named) -> str:
    if found is not None:
        return f"{named.module}:{name} is {found!r}: expected a FastAPI application, or a function that makes one."
    known = [each for each, value in vars(module).items() if isinstance(value, FastAPI)]
    hint = did_you_mean(name, known) or (f" It has {', '.join(sorted(known))}." if known else "")
    return f"{named.module} has no {name!r}.{hint}"


def _engine_of(app: FastAPI, text: str) -> Runtime:
    engine: Any = desk_of(app)
    if engine is not None:
        found: Runtime = engine
        return found
    if is_disabled(app):
        message = (
            "POSTLUDE_DISABLED is set (or Postlude(disabled=True)): background tasks are FastAPI's own, and no worker "
            "runs. Unset it; jobs that wait stay where they are."
        )
        raise ApplicationNotFound(message)
    if is_observed(app):
        message = (
            f'{text} is only observed (mode="observe", or POSTLUDE_MODE): background tasks are FastAPI\'s own, and '
            "nothing of them is stored. `postlude audit` says what became of them."
        )
        raise ApplicationNotFound(message)
    message = (
        f"{text} has no Postlude, so there are no jobs to run: put durable = Postlude(app) right after app = FastAPI()."
    )
    raise ApplicationNotFound(message)
