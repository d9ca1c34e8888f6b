"""Why a value cannot be stored, and what to do instead."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from io import IOBase
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.types import SecretBytes, SecretStr

_STANDARD = frozenset({tuple, set, frozenset, bytes, bytearray, complex})
_STANDARD_MODULES = frozenset({"datetime", "decimal", "uuid", "pathlib", "collections", "fractions", "ipaddress"})
PLAIN_JSON = frozenset({str, int, float, bool, type(None), list, dict})


class Refusal(Exception):
    """A value cannot be stored."""

    def __init__(self, reason: str, cure: str) -> None:
        self.reason: str = reason
        self.cure: str = cure
        super().__init__(reason)


class _Kind(NamedTuple):
    """A kind of value that means something only in the process that has it."""

    recognise: Callable[[object], bool]
    reason: str
    cure: str


def _of(*names: str) -> Callable[[object], bool]:
    """Recognises instances of classes by name, so that no library has to be imported; a trailing dot is any below."""
    modules = tuple(name for name in names if name.endswith("."))

    def recognise(value: object) -> bool:
        for base in type(value).__mro__:
            name = f"{base.__module__}.{base.__qualname__}"
            if name in names or (modules and name.startswith(modules)):
                return True
        return False

    return recognise


def _is_mapped(value: object) -> bool:
    return any("__mapper__" in vars(base) or "_meta" in vars(base) for base in type(value).__mro__[:-1])


def _is_connection(value: object) -> bool:
    kind = type(value)
    return callable(getattr(kind, "cursor", None)) and callable(getattr(kind, "commit", None))


def _is_like_a_file(value: object) -> bool:
    return hasattr(type(value), "read") and hasattr(type(value), "close")


_FILE = _Kind(
    lambda value: isinstance(value, IOBase),
    "{} is open in this process only",
    "Pass the file's path and open it in the task.",
)
_CONSUMED = (
    _Kind(
        _of("starlette.datastructures.UploadFile"),
        "{} is closed when the request is over",
        "Read the upload, write it to a file, and pass its path.",
    ),
    _FILE,
    _Kind(
        lambda value: isinstance(value, Iterator | AsyncIterator),
        "{} can be gone through only once",
        "Pass a list of its items.",
    ),
    _Kind(
        lambda value: isinstance(value, Awaitable),
        "{} belongs to this process's event loop",
        "Await it, and pass what it returns.",
    ),
)
"""Writing these down could use them up, so they are recognised before anything is tried."""

_KINDS = (
    *_CONSUMED,
    _Kind(
        _of(
            "sqlalchemy.orm.session.Session",
            "sqlalchemy.ext.asyncio.session.AsyncSession",
            "sqlalchemy.orm.scoping.scoped_session",
        ),
        "{} is a database session of this request",
        "Pass the ids of what it should load, and open a session in the task.",
    ),
    _Kind(
        _of("starlette.requests.HTTPConnection"),
        "{} lives only as long as its connection",
        "Pass the values that the task needs from it.",
    ),
    _Kind(_is_connection, "{} is a connection of this process", "Pass what it should load, and open it in the task."),
    _Kind(_is_mapped, "{} belongs to a database session", "Pass its id and load it in the task."),
    _FILE._replace(recognise=_is_like_a_file),
    _Kind(
        _of("_thread.", "threading.", "asyncio.", "multiprocessing.", "queue.", "_queue.", "anyio.", "concurrent."),
        "{} coordinates work inside this process only",
        "Create it at module level, and use it from there in the task.",
    ),
    _Kind(
        lambda value: isinstance(
            value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | types.ModuleType | type
        ),
        "{} is code, and only values are stored",
        "Pass a name, and choose by it in the task.",
    ),
    _Kind(
        _of("pandas.", "polars.", "numpy.", "pyarrow."),
        "{} has no exact form in JSON",
        "Write it to a file and pass its path; a single number passes as int(x) or float(x).",
    ),
    _Kind(
        lambda value: isinstance(value, SecretStr | SecretBytes),
        "{} hides its value, so the stored call would not have it",
        "Pass where the secret is kept, and read it in the task.",
    ),
)


def refuse_consumables(value: object) -> None:
    """Nothing, if `value` can be looked at without using it up.

    Raises:
        Refusal: it is, or contains, an iterator, a coroutine, an upload.
    """
    if type(value) not in PLAIN_JSON or type(value) in {list, dict}:
        found = _first(value, _CONSUMED)
        if found is not None:
            raise found


def explained(value: object, reason: str, annotation: object) -> Refusal:
    """The refusal of `value`: by the first thing in it that is known never to be storable, otherwise for `reason`."""
    try:
        found = _first(value, _KINDS)
    except RecursionError:
        return Refusal("it contains itself", "Pass a copy without the cycle, or an id.")
    return found or Refusal(reason, _cure(value, annotation))


def _cure(value: object, annotation: object) -> str:
    kind = type(value)
    name = kind.__qualname__
    if kind is annotation:
        return "Make that part a value of its declared type that survives JSON, or pass plain values."
    if kind in PLAIN_JSON - {list, dict}:
        return "Write it to a file or a table, and pass its path or id."
    if isinstance(value, Enum):
        return f"Annotate the parameter with {name}, or pass its value."
    if isinstance(value, BaseModel | list | dict) or is_dataclass(value):
        what = "the types of what is in it" if kind in {list, dict} else name
        return f"Annotate the parameter with {what}, or pass plain JSON values."
    if kind in _STANDARD or kind.__module__ in _STANDARD_MODULES:
        return f"Annotate the parameter, for instance with {name}."
    return "Pass an id or plain values, and build the rest in the task."


def _first(value: object, kinds: tuple[_Kind, ...]) -> Refusal | None:
    if type(value) in PLAIN_JSON and type(value) not in {list, dict}:
        return None
    for kind in kinds:
        if kind.recognise(value):
            return Refusal(kind.reason.format(type(value).__qualname__), kind.cure)
    for part in parts_of(value):
        found = _first(part, kinds)
        if found is not None:
            return found
    return None


def parts_of(value: object) -> tuple[object, ...] | list[object]:
    """What a value is made of, one level down; nothing if it is no container that is known here."""
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(value)
    if isinstance(value, BaseModel):
        return [*vars(value).values(), *(value.__pydantic_extra__ or {}).values()]
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in fields(value)]
    return ()


def type_names(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """A call by the types of its arguments, since their values may be secrets: `(str, subject=str)`."""
    positional = [type(value).__qualname__ for value in args]
    named = [f"{name}={type(value).__qualname__}" for name, value in kwargs.items()]
    return f"({', '.join(positional + named)})"
