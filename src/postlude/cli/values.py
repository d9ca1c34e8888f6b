"""The arguments of a task as a command line gives them: text, read by the task's own annotations.

Text is tried as it is first, so that a number, a date or a path needs no quotes, and as JSON where the annotation takes
no such text: a list, a model, null.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, Final, NewType, Union, Unpack, get_args, get_origin

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from postlude.codec.signatures import Annotations, inspected
from postlude.dependencies import names_for_callers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postlude.definition import TaskDefinition

_OF_SEVERAL: Final = frozenset({list, tuple, set, frozenset, Sequence, Iterable, Collection})
_VARIABLE: Final = frozenset({Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD})


class Misfit(Exception):
    """Text that an annotation does not take; the message says why."""


@dataclass(frozen=True)
class Argument:
    """A parameter of a task, as a command line gives it a value."""

    name: str
    annotation: Any
    default: Any
    """`Parameter.empty`: it has none, and has to be given."""
    kind: Any
    """Which of the kinds of `inspect.Parameter` it is."""

    @property
    def required(self) -> bool:
        """Whether there is no call without it."""
        return self.default is Parameter.empty and self.kind not in _VARIABLE

    @property
    def by_position(self) -> bool:
        """Whether it has no name for callers."""
        return self.kind in {Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL}

    @property
    def flag(self) -> bool:
        """Whether it is true or false."""
        return _core(self.annotation) is bool and not self.by_position

    @property
    def several(self) -> bool:
        """Whether it may be given more than once."""
        core = _core(self.annotation)
        return self.kind is Parameter.VAR_POSITIONAL or (get_origin(core) or core) in _OF_SEVERAL

    @property
    def said(self) -> str:
        """The annotation as people read it."""
        return "" if self.annotation is Any else inspect.formatannotation(self.annotation)

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.annotation)

    def read(self, given: str | list[str]) -> Any:  # noqa: ANN401 - a value of the user's type
        """The value that was meant.

        Raises:
            Misfit: it is none that the annotation takes.
        """
        try:
            if isinstance(given, str):
                return self._read(given)
            if self.kind is Parameter.VAR_POSITIONAL:
                return [self._read(each) for each in given]
            return self._read_several(given)
        except ValidationError as error:
            raise Misfit(_reason(error)) from error
        except (PydanticUserError, NameError, TypeError, ValueError, AttributeError, LookupError) as error:
            message = f"{self.said or 'this parameter'} cannot be given on a command line: {error}"
            raise Misfit(message) from error

    def _read(self, text: str) -> Any:  # noqa: ANN401
        if self.annotation is Any:
            return json_or(text)
        try:
            return self._adapter.validate_strings(text)
        except ValidationError as plainly:
            if not _is_json(text):
                raise
            try:
                return self._adapter.validate_json(text)
            except ValidationError as error:
                raise (error if text.lstrip()[:1] in {"{", "["} else plainly) from None

    def _read_several(self, texts: list[str]) -> Any:  # noqa: ANN401
        if len(texts) == 1 and texts[0].lstrip().startswith("[") and _is_json(texts[0]):
            return self._adapter.validate_json(texts[0])
        try:
            return self._adapter.validate_python(texts)
        except ValidationError as plainly:
            try:
                return self._adapter.validate_json(json.dumps([json_or(each) for each in texts]))
            except ValidationError:
                raise plainly from None


def arguments_of(definition: TaskDefinition) -> list[Argument]:
    """What a task is called with, in order: dependencies, which it is given when it runs, are none."""
    function = definition.function
    annotations = Annotations(function)
    parameters = inspected(function).parameters
    return [_argument(parameters[name], annotations) for name in names_for_callers(function)]


def _argument(parameter: Parameter, annotations: Annotations) -> Argument:
    annotation: Any
    annotation, _ = annotations.of(parameter)
    if parameter.kind is Parameter.VAR_KEYWORD:
        # All of them in one object.
        annotation = get_args(annotation)[0] if get_origin(annotation) is Unpack else _objects_of(annotation)
    return Argument(parameter.name, annotation, parameter.default, parameter.kind)


def _objects_of(annotation: Any) -> Any:  # noqa: ANN401 - an annotation is any object
    return types.GenericAlias(dict, (str, annotation))


def read_call(
    arguments: Sequence[Argument], given: Mapping[str, str | list[str] | bool | None]
) -> tuple[tuple[Any, ...], dict[str, Any], list[tuple[Argument, str]]]:
    """The positional and the named arguments that a command line means, and which of them do not fit, and why."""
    read: dict[str, Any] = {}
    problems: list[tuple[Argument, str]] = []
    for each in arguments:
        value = given.get(each.name)
        if value is None or value == []:
            continue
        try:
            read[each.name] = value if isinstance(value, bool) else each.read(value)
        except Misfit as misfit:
            problems.append((each, str(misfit)))
    return *_placed(arguments, read), problems


def _placed(arguments: Sequence[Argument], read: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    # What comes before `*args` has no other place than its own as soon as there are some.
    goes_on = any(each.kind is Parameter.VAR_POSITIONAL and each.name in read for each in arguments)
    by_position = {Parameter.POSITIONAL_ONLY, *([Parameter.POSITIONAL_OR_KEYWORD] if goes_on else [])}
    for each in arguments:
        if each.kind is Parameter.VAR_POSITIONAL:
            args += read.get(each.name, ())
        elif each.kind is Parameter.VAR_KEYWORD:
            kwargs |= read.get(each.name, {})
        elif each.kind in by_position and (each.name in read or goes_on):
            args.append(read.get(each.name, each.default))
        elif each.name in read:
            kwargs[each.name] = read[each.name]
    return tuple(args), kwargs


def _core(annotation: Any) -> Any:  # noqa: ANN401 - an annotation is any object
    """The annotation without what only names or decorates it, and without None."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif get_origin(annotation) in {Union, types.UnionType}:
            kinds = [each for each in get_args(annotation) if each is not types.NoneType]
            if len(kinds) != 1:
                return annotation
            (annotation,) = kinds
        else:
            return annotation


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def json_or(text: str) -> Any:  # noqa: ANN401 - whatever JSON can say
    """What it says as JSON; the text itself if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _reason(error: ValidationError) -> str:
    """All that an error says, on one line and without the values, which may be secrets."""
    found: list[str] = []
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(map(str, each["loc"]))
        found.append(f"{where}: {each['msg']}" if where else each["msg"])
    return "; ".join(dict.fromkeys(found))
