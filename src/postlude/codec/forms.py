"""The form in which the values of one parameter are written down, and read back."""

from __future__ import annotations

import traceback
import types
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NewType, Union, get_args, get_origin

from pydantic import VERSION, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from postlude.codec import tags
from postlude.codec.refusals import explained, refuse_consumables
from postlude.codec.sameness import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVERY_SCALAR: frozenset[type] = frozenset({str, int, float, bool, type(None)})

# A scalar is what its annotation accepts in Python, where an int passes for a float. Which one it was, JSON shows.
_ACCEPTED: dict[object, frozenset[type]] = {
    str: frozenset({str}),
    int: frozenset({int, bool}),
    float: frozenset({float, int, bool}),
    bool: frozenset({bool}),
    None: frozenset({type(None)}),
    type(None): frozenset({type(None)}),
}

# Fields are written by name, which is unambiguous; until 2.11 a validation could not read both names and aliases.
_READ_BY: dict[str, Any] = (
    {"by_alias": True, "by_name": True} if tuple(map(int, VERSION.split(".")[:2])) >= (2, 11) else {}
)


_WAYS = ((True, False), (False, False), (True, True), (False, True))
"""Whether to leave out unset fields, and whether to write aliases.

Unset fields are left out first, so that the copy knows which were set. A default that differs each time it is made, as
a new id does, has to be written.
"""


class Written(NamedTuple):
    """A value in its stored form."""

    json: bytes
    copy: Any
    """What reading it gives: the same, and nothing of it shared with the caller."""


class DoesNotFit(Exception):
    """Stored JSON is not what the annotation takes; the message is the reason."""


class _Lost(Exception):
    """One form did not give the value back; the message is the reason."""


class Form:
    """How values are written under one annotation.

    Three forms are tried until one gives the value back. As the annotation writes it in JSON, which reads best. Under
    `$fields`, as the annotation takes it apart, for what JSON has no word for: infinity, a time zone's name, bytes that
    are no text. Under `$exact`, for standard values that the annotation does not describe, such as a tuple for a
    `list[int]`: the function gets them as it would have without Postlude.
    """

    def __init__(self, annotation: Any, *, unresolved: str = "") -> None:  # noqa: ANN401  # any object
        self._annotation = annotation
        self._unresolved = unresolved
        core = _core(annotation)
        self._class = get_origin(core) or core
        self.annotated: bool = core is not Any and core is not object
        alternatives = get_args(core) if get_origin(core) in {Union, types.UnionType} else (core,)
        accepted = [_accepted(alternative) for alternative in alternatives]
        self.scalars: frozenset[type] = EVERY_SCALAR
        """Classes whose values are JSON as they stand."""
        self._by_adapter = False
        if self.annotated:
            self._by_adapter = None in accepted
            self.scalars = frozenset().union(*(kinds for kinds in accepted if kinds))
            if self._by_adapter:
                # A str may be one of the other alternatives in JSON; null is nothing but None.
                self.scalars &= {type(None)}

    @cached_property
    def _adapter(self) -> TypeAdapter[Any] | _Lost:
        # The error is kept too: to find out again with each call that pydantic does not know a class would be slow.
        try:
            return TypeAdapter(self._annotation)
        except PydanticUserError as error:
            self._class = None  # What the annotation says is no help then.
            said = error.message.splitlines()[0].partition(". ")[0]
            return _Lost(said.replace("Unable to generate pydantic-core schema", "pydantic has no form in JSON"))
        except (NameError, TypeError, ValueError, AttributeError, LookupError) as error:
            return _Lost(_reason(error))

    def _usable_adapter(self) -> TypeAdapter[Any]:
        if isinstance(self._adapter, _Lost):
            raise self._adapter
        return self._adapter

    def write(self, value: object) -> Written:
        """`value` as JSON that is known to give it back.

        Raises:
            Refusal: no form does; with the reason and the cure.
        """
        reasons: dict[object, str] = {}
        tried: set[bytes] = set()
        try:
            if type(value) not in self.scalars:
                refuse_consumables(value)
            for write in self._forms(value):
                try:
                    written = self._checked(value, write, tried)
                except _Lost as lost:
                    if not (reasons and isinstance(lost.__cause__, tags.Unwritable)):
                        reasons.setdefault(write.func, str(lost))
                else:
                    if written:
                        return written
        except RecursionError as error:
            raise explained(value, "it is nested too deeply", self._class) from error
        # Under `$fields` only what really stands in the way does; as plain JSON, a time zone may have come first.
        reason = reasons.get(self._as_fields) or next(iter(reasons.values()))
        if self._unresolved:
            reason += f" (the annotation could not be resolved: {self._unresolved})"
        raise explained(value, reason, self._class)

    def read(self, stored: Any) -> Any:  # noqa: ANN401  # JSON in, a value of the user's type out
        """The value that `write` wrote as `stored`.

        Raises:
            DoesNotFit: the parameter does not take it, or no longer does.
        """
        try:
            return self._read(stored)
        except DoesNotFit:
            raise
        except ValidationError as error:
            raise DoesNotFit(_reason(error)) from None  # its own text has the value, which may be a secret
        except Exception as error:
            raise DoesNotFit(_reason(error)) from error

    def mismatch(self, value: object) -> str | None:
        """Why a value that only `$exact` could write is none that the annotation means; None if it is one.

        What is read back from another form is what the annotation has made of it, so it needs no such question.
        """
        if not self.annotated or type(value) in self.scalars:
            return None
        annotation = self._annotation
        said = annotation.__qualname__ if isinstance(annotation, type) else annotation
        subject = f"{type(value).__qualname__} does not match the annotation {said}"
        if not self._by_adapter:
            return subject
        if isinstance(self._adapter, _Lost):
            return None  # pydantic does not know what is meant, so it may be this
        try:
            meant = self._adapter.validate_python(value, strict=True)
        except ValidationError as error:
            return f"{subject}: {_reason(error)}"
        # Equal is enough, as an int is to the float that is meant: a dict is not equal to the model that could be made
        # of it.
        return None if bool(meant == value) else subject

    def _read(self, stored: Any) -> Any:  # noqa: ANN401
        if tags.is_tagged(stored):
            ((tag, content),) = stored.items()
            if tag == "$exact":
                return tags.read(content)
            if tag == "$fields":
                return self._usable_adapter().validate_python(tags.read(content), **_READ_BY)
            msg = f"it was written with {tag!r}, which this release does not know"
            raise DoesNotFit(msg)
        if self._by_adapter and type(stored) not in self.scalars:
            return self._usable_adapter().validate_json(to_json(stored), **_READ_BY)
        if self.annotated and type(stored) not in self.scalars:
            names = " or ".join(sorted(kind.__name__ for kind in self.scalars))
            msg = f"the annotation takes {names} now, and it was stored as {type(stored).__name__}"
            raise DoesNotFit(msg)
        return stored

    def _checked(self, value: object, write: Callable[[], bytes], tried: set[bytes]) -> Written | None:
        """What `write` writes, if reading it gives the same again; None if another form has written just that.

        The user's own validators, serializers and comparisons run here. Whatever they raise tells only that the value
        cannot be stored; the request goes on.
        """
        try:
            raw = write()
            if raw in tried:
                return None
            tried.add(raw)
            # Two levels down, as it is in the stored text: there is a limit to how deep JSON may be.
            copy = self._read(from_json(b"[[%b]]" % raw, allow_inf_nan=False)[0][0])
            found = difference(value, copy)
        except (RecursionError, _Lost):
            raise
        except Exception as error:
            raise _Lost(_reason(error)) from error
        if found:
            raise _Lost(found)
        return Written(raw, copy)

    def _forms(self, value: object) -> Iterator[partial[bytes]]:
        if type(value) in self.scalars:
            yield partial(to_json, value)
        if self._by_adapter:
            yield from (partial(self._as_json, value, *way) for way in _WAYS)
            yield from (partial(self._as_fields, value, *way) for way in _WAYS)
        yield partial(self._exactly, value)

    def _as_json(self, value: object, exclude_unset: bool, by_alias: bool) -> bytes:  # noqa: FBT001  # from _WAYS
        # A dict that looks like a tag is not read back as itself, and goes on to a form that tells it apart.
        return self._usable_adapter().dump_json(
            value, exclude_unset=exclude_unset, by_alias=by_alias, round_trip=True, warnings=False
        )

    def _as_fields(self, value: object, exclude_unset: bool, by_alias: bool) -> bytes:  # noqa: FBT001  # from _WAYS
        parts = self._usable_adapter().dump_python(
            value, exclude_unset=exclude_unset, by_alias=by_alias, round_trip=True, warnings=False
        )
        return b'{"$fields":%b}' % to_json(tags.LOOSE.write(parts))

    def _exactly(self, value: object) -> bytes:
        raw = to_json((tags.STANDARD if self.annotated else tags.PLAIN).write(value))
        # Plain JSON under no annotation reads as it stands, unless something in it could be taken for a tag.
        return raw if not self.annotated and b'{"$' not in raw else b'{"$exact":%b}' % raw


def _core(annotation: Any) -> Any:  # noqa: ANN401  # an annotation is any object
    """The annotation without what only names or decorates it: a function call does not look at that either."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # A class of its own in Python 3.11's typing_extensions.
            try:
                annotation = annotation.__value__
            except NameError:  # It is evaluated here, and may name what only a type checker can see.
                return Any
        else:
            return annotation


def _accepted(annotation: object) -> frozenset[type] | None:
    core = _core(annotation)
    try:
        return _ACCEPTED.get(core)
    except TypeError:  # Metadata in an annotation need not be hashable.
        return None


def _reason(error: Exception) -> str:
    """What an error says, on one line and without the values that pydantic would print."""
    if isinstance(error, tags.Unwritable):
        return str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else first["msg"]
    return traceback.format_exception_only(error)[0].splitlines()[0].removeprefix(f"{type(error).__module__}.")
