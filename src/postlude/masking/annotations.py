"""What of a value is secret by its annotation, and the names that only the annotation has."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from pydantic import AliasChoices, BaseModel, RootModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Place = tuple[str | None, Any]
    """What an annotation says of a part of a value: its name, if the value itself does not have it; its annotation."""
    Field = tuple[tuple[str, ...], Any]
    """The name of a field and its aliases; its annotation."""

_AROUND: Final = frozenset({Annotated, Final, NotRequired, Required})


class Secrets(NamedTuple):
    """What of a value is secret by its type: a field of pydantic's `SecretStr`, `SecretBytes` or `Secret[...]`."""

    whole: bool = False
    """All of it: it is one of those, or a collection of them."""
    names: frozenset[str] = frozenset()
    """The fields with these names, wherever they are in it."""
    together: frozenset[tuple[str, ...]] = frozenset()
    """The name and the aliases of each field that has some: if one of these names is that of a secret, all are."""
    places: Any = None
    """The annotation itself, if there is a named tuple in it: that is stored as a list, without the names."""


NO_SECRETS: Final = Secrets()


def secrets_in(annotation: Any) -> Secrets:  # noqa: ANN401 - an annotation is any object
    """What is secret by its type in a value with this annotation.

    Models, dataclasses, named tuples and typed dicts are looked into. Nothing for an annotation that cannot be looked
    into: the names still are masked.
    """
    try:
        return _kept(annotation)
    except TypeError:  # what stands in it cannot be kept in a cache
        return _secrets_in(annotation)


def _secrets_in(annotation: Any) -> Secrets:  # noqa: ANN401
    look = _Look()
    whole = look.at(annotation)
    return Secrets(whole, frozenset(look.names), frozenset(look.together), annotation if look.tuples else None)


_kept = lru_cache(maxsize=1024)(_secrets_in)


class _Look:
    """Goes through an annotation."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.together: set[tuple[str, ...]] = set()
        self.tuples = False
        self._seen: set[Any] = set()

    def at(self, annotation: Any) -> bool:  # noqa: ANN401
        """Look at it; returns whether the value itself, or each of its items, is secret."""
        parts: tuple[Any, ...] = ()
        if _is_alias(annotation):  # which may stand in what it names
            if annotation in self._seen:
                return False
            self._seen.add(annotation)
            parts = get_args(annotation)
        # Each of them, since each adds its names.
        kinds = [self._at_kind(kind) for kind in kinds_of(annotation)]
        return any([*kinds, *map(self.at, parts)])

    def _at_kind(self, kind: Any) -> bool:  # noqa: ANN401
        origin = get_origin(kind) or kind
        if isinstance(origin, type) and hasattr(origin, "get_secret_value"):
            return True
        whole = any([*map(self.at, get_args(kind))])
        if not isinstance(origin, type) or origin in self._seen:
            return whole
        self._seen.add(origin)
        self.tuples |= _is_named_tuple(origin)
        for names, annotation in fields_of(origin):
            if self.at(annotation):
                self.names.update(names)
                whole |= issubclass(origin, RootModel)
            elif len(names) > 1:
                self.together.add(names)
        return whole


def kinds_of(annotation: Any) -> list[Any]:  # noqa: ANN401
    """What a value with this annotation may be, without what only names or decorates it."""
    while True:
        if get_origin(annotation) in _AROUND:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif _is_alias(annotation):
            try:
                annotation = annotation.__value__
            except NameError:  # it is evaluated here, and may name what only a type checker can see
                return []
        elif get_origin(annotation) in {Union, UnionType}:
            return [kind for each in get_args(annotation) for kind in kinds_of(each)]
        else:
            return [annotation]


def places_in(kinds: Iterable[Any], place: int | str, count: int = 0) -> list[Place]:
    """What annotations say of a part of a value that is one of these.

    Args:
        kinds: what the value may be, from `kinds_of`.
        place: of an item, or the key of a value.
        count: how many items there are.
    """
    return [found for kind in kinds for found in _places(kind, place, count)]


def _places(kind: Any, place: int | str, count: int) -> Iterator[Place]:  # noqa: ANN401
    origin, parts = get_origin(kind) or kind, get_args(kind)
    fields = fields_of(origin) if isinstance(origin, type) else ()
    if isinstance(place, str):
        yield from ((None, annotation) for names, annotation in fields if place in names)
    elif isinstance(origin, type) and _is_named_tuple(origin):
        yield from ((names[0], annotation) for names, annotation in fields[place : place + 1])
        return
    elif origin is tuple and len(parts) == count and Ellipsis not in parts:
        parts = parts[place : place + 1]
    yield from ((None, part) for part in parts)


@lru_cache(maxsize=1024)
def fields_of(kind: type) -> tuple[Field, ...]:
    """The fields of a class, in their order; none if it is not known to have any."""
    declared = kind.model_fields if issubclass(kind, BaseModel) else getattr(kind, "__pydantic_fields__", None)
    if declared is not None:
        return tuple(((name, *_aliases(name, field)), field.annotation) for name, field in declared.items())
    if not (dataclasses.is_dataclass(kind) or is_typeddict(kind) or _is_named_tuple(kind)):
        return ()
    try:
        hints = get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):  # a name that only a type checker can see
        hints = {}
    names: Iterable[str] = getattr(kind, "_fields", hints)
    return tuple(((name,), hints.get(name, Any)) for name in names)


def _aliases(name: str, field: Any) -> dict[str, None]:  # noqa: ANN401 - pydantic's, of a model or of a dataclass
    validated = field.validation_alias
    several = validated.choices if isinstance(validated, AliasChoices) else (validated,)
    given = (field.alias, field.serialization_alias, *several)
    return dict.fromkeys(each for each in given if isinstance(each, str) and each != name)


def _is_alias(annotation: Any) -> bool:  # noqa: ANN401
    # A class of its own in Python 3.11's typing_extensions.
    return type(get_origin(annotation) or annotation).__name__ == "TypeAliasType"


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")
