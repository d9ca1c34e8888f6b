"""What is stored of a job as people see it: JSON with what is secret masked, and texts in which that is masked, too."""

from __future__ import annotations

import contextlib
import inspect
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from postlude.codec import tags
from postlude.codec.results import reason_unstored
from postlude.codec.signatures import Annotations, inspected
from postlude.masking import MASKED, NO_SECRETS, Repeats, Secrets, secrets_in
from postlude.views.jobs import Argument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from postlude.definition import TaskDefinition
    from postlude.masking import Masking


class Named(NamedTuple):
    """Where a stored argument goes."""

    label: str
    """For people."""
    name: str | None
    """The parameter's; None: it is not known."""
    secrets: Secrets


class Shown:
    """The values of one job, masked, and its texts, in which what was masked in those is masked, too.

    The one place where what is stored of a job becomes what is shown of it: in pages, answers, commands, events and
    spans. Its arguments are read when they, or a text that may repeat them, are asked for.

    Args:
        masking: what is secret.
        definition: of its task; None: it is not known here.
        stored: the arguments of its call, as JSON; None or empty: they are not there.
    """

    def __init__(self, masking: Masking, definition: TaskDefinition | None, stored: str | None) -> None:
        self._masking = masking
        self._definition = definition
        self._stored = stored
        self._read = False
        """Whether the arguments were read, or cannot be."""
        self._repeats = Repeats()
        """The secrets that were masked, which are masked in texts, too."""

    def arguments(self) -> list[Argument]:
        """Those of its call.

        What stands by position in a call of a task that is not known has no name, and is masked unless it is a
        collection: in that the names are.

        Raises:
            ValueError, KeyError, TypeError: they are not there, or not in the form that Postlude writes.
        """
        return [self._argument(place, value) for place, value in self._learned()]

    def _learned(self) -> list[tuple[Named, Any]]:
        """The arguments as they are, when their secrets are known: those that come first may repeat the later ones."""
        self._read = True
        stored = json.loads(self._stored or "")
        args, kwargs = stored["args"], stored["kwargs"]
        places = _places(self._definition, len(args), tuple(kwargs))
        given = [*zip(places, [*args, *kwargs.values()], strict=True)]
        for place, value in given:
            if self._hides(place, value):
                self._repeats.add(value)
            else:
                self._learn(value, place.secrets)
        return given

    def value(self, name: str, text: str, secrets: Secrets = NO_SECRETS) -> Argument:
        """A value that is stored as this text."""
        value = json.loads(text)
        return _shown(name, value, self.json(value, secrets))

    def result(self, text: str) -> tuple[Argument | None, str | None]:
        """What a job returned, or why that was not stored."""
        missing = reason_unstored(text)
        if missing is not None:
            return None, self.text(missing)
        return self.value("result", text, _returned(self._definition)), None

    def returned(self, value: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """What a job returned, as JSON that was made of the value itself."""
        return self.json(value, _returned(self._definition))

    def json(self, value: Any, secrets: Secrets = NO_SECRETS) -> Any:  # noqa: ANN401 - as above
        """Any JSON of the job."""
        self._learn(value, secrets)
        return self._masked(value, secrets)

    def text(self, text: str) -> str:
        """A text of the job, in which the secrets of its arguments are masked, and those of values shown before it."""
        if not self._read:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # not there, or not as Postlude writes them
                self._learned()
        return self._masking.text(self._repeats.masked(text))

    def _argument(self, place: Named, value: Any) -> Argument:  # noqa: ANN401 - JSON
        if self._hides(place, value):
            return Argument(place.label, MASKED, masked=True)
        return _shown(place.label, value, self._masked(value, place.secrets))

    def _hides(self, place: Named, value: Any) -> bool:  # noqa: ANN401 - JSON
        if value is None:
            return False
        if place.name is None:
            return not isinstance(value, list | dict)
        return place.name in place.secrets.names or self._masking.hides_value(place.name, value)

    def _learn(self, value: Any, secrets: Secrets) -> None:  # noqa: ANN401 - JSON
        """Have what is secret in a value masked in texts."""
        self._masking.json(value, secrets, text=_as_it_is, hidden=self._repeats.add)

    def _masked(self, value: Any, secrets: Secrets) -> Any:  # noqa: ANN401 - JSON
        return self._masking.json(value, secrets, text=self.text)


def _as_it_is(text: str) -> str:
    return text


def _shown(name: str, value: Any, masked: Any) -> Argument:  # noqa: ANN401 - JSON
    return Argument(name, readable(masked), masked=masked != value)


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


def _places(definition: TaskDefinition | None, count: int, names: tuple[str, ...]) -> list[Named]:
    # One that cannot be stored is often a new one at each request, and would keep all that it refers to.
    passing = definition is not None and definition.unstorable is not None
    return (_places_of if passing else _kept_places)(definition, count, names)


def _places_of(definition: TaskDefinition | None, count: int, names: tuple[str, ...]) -> list[Named]:
    """Where each argument of a call of that shape goes."""
    if definition is not None:
        annotations = Annotations(definition.function)
        with contextlib.suppress(TypeError):  # the function was changed since
            return [
                Named(label, parameter.name if key is None else key, secrets_in(annotations.of(parameter)[0]))
                for label, parameter, key in _bound(signature_of(definition), count, names)
            ]
    nameless = [Named(f"[{number}]", None, NO_SECRETS) for number in range(count)]
    return [*nameless, *(Named(name, name, NO_SECRETS) for name in names)]


_kept_places = lru_cache(maxsize=256)(_places_of)


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


@lru_cache(maxsize=256)
def _returned(definition: TaskDefinition | None) -> Secrets:
    if definition is None or isinstance(definition.function, type):
        return NO_SECRETS
    annotation = inspected(definition.function).return_annotation
    if annotation is inspect.Signature.empty:
        return NO_SECRETS
    return secrets_in(Annotations(definition.function).resolved(annotation)[0])


def _key(key: Any) -> str:  # noqa: ANN401
    shown = readable(key)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
