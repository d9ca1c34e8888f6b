"""Standard values as JSON that says what they are: `{"$datetime": ["2026-03-29T02:30:00", 1, "Europe/Berlin"]}`.

For what JSON has no word for. What it has a word for stays as it is, so that plain data reads plainly in the store.
Only exact classes are written: a subclass could carry more than its base shows.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic_core import TzInfo

from postlude.failed import TAG, FailedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import tzinfo

FIXED_ZONES = (timezone, TzInfo)
"""The classes of a zone that is an offset from UTC and a name, nothing more."""


class Unwritable(Exception):
    """No tag exists for `value`."""

    def __init__(self, value: object, where: str = "") -> None:
        self.value = value
        super().__init__(f"{type(value).__qualname__} has no form in JSON{where}")


def is_tagged(stored: object) -> bool:
    """Whether `stored` would be read as a tag: an object with one key, which starts with a dollar sign."""
    return type(stored) is dict and len(stored) == 1 and next(iter(stored)).startswith("$")


class Writer:
    """Writes values as tagged JSON; `known` says for which classes beyond plain JSON."""

    def __init__(self, known: Mapping[type, Callable[[Writer, Any], Any]], *, loosely: bool = False) -> None:
        self._known = known
        self._loosely = loosely

    def write(self, value: object) -> Any:  # noqa: ANN401  # JSON is what it is
        """`value` as JSON.

        Raises:
            Unwritable: it contains something that this writer has no tag for.
        """
        kind = type(value)
        if kind is str:
            return self._text(value)  # type: ignore[arg-type]
        if kind is int or kind is bool or value is None:
            return value
        if kind is list:
            return [self.write(item) for item in value]  # type: ignore[attr-defined]
        write = self._known.get(kind)
        if write is not None:
            return write(self, value)
        if self._loosely:
            # The annotation turns these back into what they were.
            if isinstance(value, Enum):
                return self.write(value.value)
            if isinstance(value, PurePath):
                return self.write(str(value))
        raise Unwritable(value)

    def _text(self, value: str) -> object:
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:  # Lone surrogates: what os.fsdecode makes of a file name that is not UTF-8.
                return {"$str": b64encode(value.encode("utf-8", "surrogatepass")).decode()}
        return value


def _write_dict(writer: Writer, value: dict[Any, Any]) -> object:
    if all(type(key) is str and (key.isascii() or writer.write(key) is key) for key in value):
        plain = {key: writer.write(item) for key, item in value.items()}
        if not is_tagged(plain):
            return plain
    return {"$dict": [[writer.write(key), writer.write(item)] for key, item in value.items()]}


def _write_plain_dict(writer: Writer, value: dict[Any, Any]) -> object:
    for key in value:
        if type(key) is not str:
            raise Unwritable(key, " as a key")
    return _write_dict(writer, value)


def _write_zone(zone: tzinfo | None) -> object:
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    if isinstance(zone, FIXED_ZONES):
        offset = zone.utcoffset(None) or timedelta()
        return [_write_timedelta(offset), zone.tzname(None)]
    raise Unwritable(zone, " as a time zone; zoneinfo.ZoneInfo does")


def _write_timedelta(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _write_time(value: datetime | time) -> object:
    return [value.replace(tzinfo=None, fold=0).isoformat(), value.fold, _write_zone(value.tzinfo)]


def _write_items(writer: Writer, value: tuple[Any, ...] | set[Any] | frozenset[Any]) -> object:
    return [writer.write(item) for item in value]


_PLAIN: dict[type, Callable[[Writer, Any], Any]] = {
    dict: _write_plain_dict,
    float: lambda _, value: value if isfinite(value) else {"$float": repr(value)},
}
_STANDARD: dict[type, Callable[[Writer, Any], Any]] = {
    **_PLAIN,
    dict: _write_dict,
    tuple: lambda writer, value: {"$tuple": _write_items(writer, value)},
    set: lambda writer, value: {"$set": _write_items(writer, value)},
    frozenset: lambda writer, value: {"$frozenset": _write_items(writer, value)},
    bytes: lambda _, value: {"$bytes": b64encode(value).decode()},
    datetime: lambda _, value: {"$datetime": _write_time(value)},
    time: lambda _, value: {"$time": _write_time(value)},
    date: lambda _, value: {"$date": value.isoformat()},
    timedelta: lambda _, value: {"$timedelta": _write_timedelta(value)},
    Decimal: lambda _, value: {"$decimal": str(value)},
    UUID: lambda _, value: {"$uuid": str(value)},
}

PLAIN = Writer(_PLAIN)
"""JSON's own types, exactly; infinity and NaN are floats."""
STANDARD = Writer(_STANDARD)
"""Standard values too, each as what it is."""
LOOSE = Writer(_STANDARD, loosely=True)
"""And enumerations and paths as values that their annotation understands."""


def _read_zone(zone: Any) -> tzinfo | None:  # noqa: ANN401
    if zone is None:
        return None
    if isinstance(zone, str):
        return ZoneInfo(zone)
    offset, name = timedelta(*zone[0]), zone[1]
    plain = timezone(offset)
    return plain if plain.tzname(None) == name else timezone(offset, name)


def _read_datetime(stored: Any) -> datetime:  # noqa: ANN401
    return datetime.fromisoformat(stored[0]).replace(fold=stored[1], tzinfo=_read_zone(stored[2]))


def _read_time(stored: Any) -> time:  # noqa: ANN401
    return time.fromisoformat(stored[0]).replace(fold=stored[1], tzinfo=_read_zone(stored[2]))


_READ: dict[str, Callable[[Any], Any]] = {
    "$str": lambda stored: b64decode(stored).decode("utf-8", "surrogatepass"),
    "$float": float,
    "$dict": lambda stored: {read(key): read(item) for key, item in stored},
    "$tuple": lambda stored: tuple(read(item) for item in stored),
    "$set": lambda stored: {read(item) for item in stored},
    "$frozenset": lambda stored: frozenset(read(item) for item in stored),
    "$bytes": b64decode,
    "$datetime": _read_datetime,
    "$time": _read_time,
    "$date": date.fromisoformat,
    "$timedelta": lambda stored: timedelta(*stored),
    "$decimal": Decimal,
    "$uuid": UUID,
    TAG: FailedJob.read,
}


def read(stored: Any) -> Any:  # noqa: ANN401  # JSON in, whatever was written out
    """What `Writer.write` wrote as `stored`.

    Raises:
        ValueError: it holds a tag of a later release.
    """
    if type(stored) is list:
        return [read(item) for item in stored]
    if type(stored) is not dict:
        return stored
    if not is_tagged(stored):
        return {key: read(item) for key, item in stored.items()}
    ((tag, content),) = stored.items()
    if tag not in _READ:
        msg = f"it was written with {tag!r}, which this release does not know"
        raise ValueError(msg)
    return _READ[tag](content)
