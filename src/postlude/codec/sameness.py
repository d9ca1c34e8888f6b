"""Whether a value that was written and read back is still the same: equal, and of the same types all the way down."""

from __future__ import annotations

from collections import deque
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import zip_longest
from math import copysign, isnan
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from postlude.codec.tags import FIXED_ZONES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import tzinfo

_ATOMS = frozenset({str, int, bool, type(None), bytes, date, timedelta, UUID})
_MISSING = object()


def difference(before: object, after: object, at: str = "") -> str | None:
    """What is not the same in `after`, in words that show no values; None if everything is.

    Which fields of a model were set explicitly is not compared, as in pydantic's own equality.
    """
    kind = type(before)
    if kind is not type(after):
        return f"{_subject(at, before)} would come back as {_named(type(after), beside=kind)}"
    if kind in _ATOMS:
        return None if before == after else _changed(at, before)
    for base, compare in _COMPARE:
        if isinstance(before, base):
            return compare(before, after, at)
    if is_dataclass(before):
        return _compare_dataclasses(before, after, at)
    return None if bool(before == after) else _changed(at, before)


def _subject(at: str, value: object) -> str:
    return f"{at.removeprefix('.')}: {_named(type(value))}" if at else _named(type(value))


def _changed(at: str, value: object) -> str:
    return f"{_subject(at, value)} would come back with another value"


def _named(kind: type, *, beside: type | None = None) -> str:
    """The class's name, with its module where that alone tells it from the class `beside` it."""
    if beside is not None and kind.__qualname__ == beside.__qualname__:
        return f"{kind.__module__}.{kind.__qualname__}"
    return kind.__qualname__


def _compare_floats(before: float, after: float, at: str) -> str | None:
    same = isnan(after) if isnan(before) else before == after and copysign(1, before) == copysign(1, after)
    return None if same else _changed(at, before)


def _compare_decimals(before: Decimal, after: Decimal, at: str) -> str | None:
    # 1.0 and 1.00 are equal as numbers; as prices in an e-mail they are not.
    return None if before.as_tuple() == after.as_tuple() else _changed(at, before)


def _compare_times(before: Any, after: Any, at: str) -> str | None:  # noqa: ANN401  # datetime or time
    if before.replace(tzinfo=None) != after.replace(tzinfo=None) or before.fold != after.fold:
        return _changed(at, before)
    if _same_zone(before.tzinfo, after.tzinfo) and before.tzname() == after.tzname():
        return None if before.utcoffset() == after.utcoffset() else _changed(at, before)
    return f"{_subject(at, before)} would come back with the time zone {after.tzinfo} instead of {before.tzinfo}"


def _same_zone(before: tzinfo | None, after: tzinfo | None) -> bool:
    if type(before) is ZoneInfo and type(after) is ZoneInfo:
        return before.key is not None and before.key == after.key
    if before is None or after is None:
        return before is after
    # pydantic has a class of its own for a fixed offset; it equals the standard one.
    return isinstance(before, FIXED_ZONES) and isinstance(after, FIXED_ZONES)


def _compare_items(before: Iterable[Any], after: Iterable[Any], at: str) -> str | None:
    for index, (one, other) in enumerate(zip_longest(before, after, fillvalue=_MISSING)):
        if one is _MISSING or other is _MISSING:
            return f"{_subject(at, before)} would come back with another length"
        # The short way for the long lists: of plain values nearly all are the same.
        if type(one) is type(other) and type(one) in _ATOMS and one == other:
            continue
        found = difference(one, other, f"{at}[{index}]")
        if found:
            return found
    if isinstance(before, deque) and isinstance(after, deque) and before.maxlen != after.maxlen:
        return _changed(at, before)
    return None


def _compare_sets(before: frozenset[Any], after: frozenset[Any], at: str) -> str | None:
    if len(before) != len(after):
        return f"{_subject(at, before)} would come back with another length"
    # {1} equals {True}, so equality does not end it: each item is compared with its counterpart.
    counterparts = {_key(item): item for item in after}
    for item in before:
        counterpart = counterparts.get(_key(item), _MISSING)
        if counterpart is _MISSING:
            return _changed(at, before)
        found = difference(item, counterpart, f"{at}{{}}")
        if found:
            return found
    return None


def _key(item: object) -> object:
    return _MISSING if isinstance(item, float | Decimal) and isnan(item) else item


def _compare_dicts(before: Mapping[Any, Any], after: Mapping[Any, Any], at: str) -> str | None:
    if len(before) != len(after):
        return f"{_subject(at, before)} would come back with other keys"
    if getattr(before, "default_factory", None) is not getattr(after, "default_factory", None):  # Of a defaultdict.
        return f"{_subject(at, before)} would come back with another default_factory"
    # In order: that is part of what a task sees of a dict.
    for (key, one), (other_key, other) in zip(before.items(), after.items(), strict=True):
        where = f"{at}[{key!r}]" if type(key) is str else f"{at}[{type(key).__qualname__}]"
        found = difference(key, other_key, f"{at}.keys()") or difference(one, other, where)
        if found:
            return found
    return None


def _compare_models(before: BaseModel, after: BaseModel, at: str) -> str | None:
    return (
        _compare_attributes(type(before), vars(before), vars(after), at)
        or difference(before.__pydantic_extra__, after.__pydantic_extra__, f"{at}.model_extra")
        or _compare_attributes(type(before), before.__pydantic_private__ or {}, after.__pydantic_private__ or {}, at)
    )


def _compare_dataclasses(before: Any, after: Any, at: str) -> str | None:  # noqa: ANN401  # any dataclass
    return _compare_attributes(type(before), _attributes(before), _attributes(after), at)


def _attributes(instance: Any) -> dict[str, Any]:  # noqa: ANN401  # any dataclass
    slots = {field.name: getattr(instance, field.name) for field in fields(instance) if hasattr(instance, field.name)}
    return slots | getattr(instance, "__dict__", {})


def _compare_attributes(owner: type, before: Mapping[str, Any], after: Mapping[str, Any], at: str) -> str | None:
    for name in before.keys() | after.keys():
        if isinstance(getattr(owner, name, None), cached_property):
            continue  # Computed from the rest, and computed again when it is asked for.
        if name not in before or name not in after:
            return f"{at.removeprefix('.') or owner.__qualname__} would come back {_presence(name, after)}"
        found = difference(before[name], after[name], f"{at}.{name}")
        if found:
            return found
    return None


def _presence(name: str, after: Mapping[str, Any]) -> str:
    return f"with an attribute {name!r} that it does not have" if name in after else f"without its attribute {name!r}"


# Subclasses before their bases: a datetime is a date as well.
_COMPARE: tuple[tuple[Any, Callable[[Any, Any, str], str | None]], ...] = (
    (float, _compare_floats),
    ((datetime, time), _compare_times),
    (Decimal, _compare_decimals),
    (dict, _compare_dicts),
    ((list, tuple, deque), _compare_items),
    ((set, frozenset), _compare_sets),
    (BaseModel, _compare_models),
)
