"""Stored values as JSON for people, with what is secret masked; and texts in which those very values are masked too."""

from __future__ import annotations

import contextlib
import inspect
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from postlude.codec import tags
from postlude.codec.results import reason_unstored
from postlude.codec.signatures import Annotations, inspected
from postlude.masking import MASKED, NO_SECRETS, Secrets, secrets_in
from postlude.views.jobs import Argument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from postlude.definition import TaskDefinition
    from postlude.masking import Masking

_SHORTEST: Final = 4
"""Letters of a secret that is looked for in texts: shorter ones stand in too many words."""


class Named(NamedTuple):
    """Where a stored argument goes."""

    label: str
    """For people."""
    name: str | None
    """The parameter's; None: it is not known."""
    secrets: Secrets


class Shown:
    """The values of one job, masked.

    Args:
        masking: what is secret.
        definition: of its task; None: it is not known here.
    """

    def __init__(self, masking: Masking, definition: TaskDefinition | None) -> None:
        self._masking = masking
        self._definition = definition
        self._hidden: set[str] = set()
        """The secrets that were masked, as texts."""

    def arguments(self, text: str) -> list[Argument]:
        """Those of the call that is stored as this text.

        What stands by position in a call of a task that is not known has no name, and is masked unless it is a
        collection: in that the names are.
        """
        stored = json.loads(text)
        args, kwargs = stored["args"], stored["kwargs"]
        places = _places(self._definition, len(args), tuple(kwargs))
        return [self._argument(place, value) for place, value in zip(places, [*args, *kwargs.values()], strict=True)]

    def value(self, name: str, text: str, secrets: Secrets = NO_SECRETS) -> Argument:
        """A value that is stored as this text."""
        return self._masked(name, json.loads(text), secrets)

    def result(self, text: str) -> tuple[Argument | None, str | None]:
        """What a job returned, or why that was not stored."""
        missing = reason_unstored(text)
        if missing is not None:
            return None, self.text(missing)
        return self.value("result", text, _returned(self._definition)), None

    def text(self, text: str) -> str:
        """A text of the job, with the secrets masked that its values have shown so far."""
        for secret in sorted(self._hidden, key=len, reverse=True):
            text = text.replace(secret, MASKED)
        return self._masking.text(text)

    def _argument(self, place: Named, value: Any) -> Argument:  # noqa: ANN401 - JSON
        unknown = place.name is None and not isinstance(value, list | dict)
        if value is not None and (unknown or (place.name is not None and self._masking.hides(place.name))):
            self._hide(value)
            return Argument(place.label, MASKED, masked=True)
        return self._masked(place.label, value, place.secrets)

    def _masked(self, name: str, value: Any, secrets: Secrets) -> Argument:  # noqa: ANN401
        masked = self._masking.json(value, secrets)
        self._note(value, masked)
        return Argument(name, readable(masked), masked=masked != value)

    def _note(self, value: Any, masked: Any) -> None:  # noqa: ANN401
        """Remember what was masked in a value."""
        if masked == MASKED != value:
            self._hide(value)
        elif isinstance(value, list):
            for one, other in zip(value, masked, strict=True):
                self._note(one, other)
        elif isinstance(value, dict):
            for key, one in value.items():
                self._note(one, masked[key])

    def _hide(self, value: Any) -> None:  # noqa: ANN401
        if isinstance(value, str) and len(value) >= _SHORTEST:
            self._hidden.add(value)
        elif isinstance(value, list | dict):
            for part in value.values() if isinstance(value, dict) else value:
                self._hide(part)


def readable(value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """A stored value as plain JSON: what the codec has tagged becomes what a person would write."""
    if isinstance(value, list):
        return [readable(item) for item in value]
    if not isinstance(value, dict):
        return value
    if tags.is_tagged(value):
        ((tag, content),) = value.items()
        return _untagged(tag, content, value)
    return {key: readable(item) for key, item in value.items()}


def _untagged(tag: str, content: Any, value: Any) -> Any:  # noqa: ANN401
    if content == MASKED or tag == "$float":
        return content
    if tag in {"$exact", "$fields", "$tuple", "$set", "$frozenset"}:
        return readable(content)
    if tag == "$dict":
        return {_key(key): readable(item) for key, item in content}
    if tag == "$bytes":
        return f"{content} (base64)"
    with contextlib.suppress(Exception):  # a tag of a later release, or a zone that is not known here: as it is
        return str(tags.read(value)).encode(errors="replace").decode()
    return value


def signature_of(definition: TaskDefinition) -> inspect.Signature:
    """What callers of a task give."""
    return inspected(definition.function) if definition.plan is None else definition.plan.signature


def _places(definition: TaskDefinition | None, count: int, names: Sequence[str]) -> list[Named]:
    """Where each argument of a call of that shape goes."""
    if definition is not None:
        annotations = Annotations(definition.function)
        with contextlib.suppress(TypeError):  # the function was changed since
            return [
                Named(label, parameter.name if key is None else key, secrets_of(annotations.of(parameter)[0]))
                for label, parameter, key in _bound(signature_of(definition), count, names)
            ]
    nameless = [Named(f"[{number}]", None, NO_SECRETS) for number in range(count)]
    return [*nameless, *(Named(name, name, NO_SECRETS) for name in names)]


def _bound(
    signature: inspect.Signature, count: int, names: Sequence[str]
) -> Iterator[tuple[str, inspect.Parameter, str | None]]:
    """Each argument with its label, its parameter and, if it was given by name, that; as they are stored."""
    bound = signature.bind_partial(*range(count), **dict.fromkeys(names))
    keywords: dict[str, inspect.Parameter] = {}
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        if parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((f"{name}[{number}]", parameter, None) for number in range(len(value)))
        elif parameter.kind is parameter.VAR_KEYWORD:
            keywords.update(dict.fromkeys(value, parameter))
        elif name in names and parameter.kind is not parameter.POSITIONAL_ONLY:
            keywords[name] = parameter
        else:
            yield name, parameter, None
    yield from ((name, keywords[name], name) for name in names)


def secrets_of(annotation: Any) -> Secrets:  # noqa: ANN401 - an annotation is any object
    """What is secret by its type; nothing for an annotation that cannot be kept in a cache."""
    try:
        return secrets_in(annotation)
    except TypeError:
        return NO_SECRETS


def _returned(definition: TaskDefinition | None) -> Secrets:
    if definition is None or isinstance(definition.function, type):
        return NO_SECRETS
    annotation = inspected(definition.function).return_annotation
    if annotation is inspect.Signature.empty:
        return NO_SECRETS
    return secrets_of(Annotations(definition.function).resolved(annotation)[0])


def _key(key: Any) -> str:  # noqa: ANN401
    shown = readable(key)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
