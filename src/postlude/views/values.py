"""What is stored of a job as people see it: JSON with what is secret masked, and texts in which that is masked, too."""

from __future__ import annotations

import contextlib
import inspect
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

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
        self._hidden: set[str] = set()
        """The secrets that were masked, as texts."""
        self._ordered: list[str] = []
        """The longest first, since one may be part of another."""
        self._numbers: set[str] = set()
        """Those of them that are numbers."""

    def arguments(self) -> list[Argument]:
        """Those of its call.

        What stands by position in a call of a task that is not known has no name, and is masked unless it is a
        collection: in that the names are.

        Raises:
            ValueError, KeyError, TypeError: they are not there, or not in the form that Postlude writes.
        """
        self._read = True
        stored = json.loads(self._stored or "")
        args, kwargs = stored["args"], stored["kwargs"]
        places = _places(self._definition, len(args), tuple(kwargs))
        given = [*zip(places, [*args, *kwargs.values()], strict=True)]
        before = self._known
        found = [self._argument(place, value) for place, value in given]
        # Once more if there are secrets: those that came first may repeat the later ones.
        return found if self._known == before else [self._argument(place, value) for place, value in given]

    def value(self, name: str, text: str, secrets: Secrets = NO_SECRETS) -> Argument:
        """A value that is stored as this text."""
        return self._masked(name, json.loads(text), secrets)

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
        return self._masking.json(value, secrets, text=self.text, hidden=self._hide)

    def text(self, text: str) -> str:
        """A text of the job, in which the secrets of its arguments are masked, and those of values shown before it."""
        if not self._read:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # not there, or not as Postlude writes them
                self.arguments()
        if len(self._ordered) < len(self._hidden):
            self._ordered = sorted(self._hidden, key=len, reverse=True)
        for secret in self._ordered:
            text = text.replace(secret, MASKED)
        if self._numbers:
            text = re.sub(rf"(?<![\w.])(?:{'|'.join(map(re.escape, self._numbers))})(?!\w)", MASKED, text)
        return self._masking.text(text)

    @property
    def _known(self) -> int:
        """How many secrets are looked for in texts."""
        return len(self._hidden) + len(self._numbers)

    def _argument(self, place: Named, value: Any) -> Argument:  # noqa: ANN401 - JSON
        if value is not None and self._hides(place, value):
            self._hide(value)
            return Argument(place.label, MASKED, masked=True)
        return self._masked(place.label, value, place.secrets)

    def _hides(self, place: Named, value: Any) -> bool:  # noqa: ANN401 - JSON
        if place.name is None:
            return not isinstance(value, list | dict)
        return place.name in place.secrets.names or self._masking.hides_value(place.name, value)

    def _masked(self, name: str, value: Any, secrets: Secrets) -> Argument:  # noqa: ANN401
        masked = self.json(value, secrets)
        return Argument(name, readable(masked), masked=masked != value)

    def _hide(self, value: Any) -> None:  # noqa: ANN401
        """Have a secret masked in texts, too."""
        if isinstance(value, str):
            self._hidden |= {each for each in _spellings(value) if len(each) >= _SHORTEST}
        elif isinstance(value, int | float) and not isinstance(value, bool) and len(str(value)) >= _SHORTEST:
            self._numbers.add(str(value))
        elif isinstance(value, list | dict):
            for part in value.values() if isinstance(value, dict) else value:
                self._hide(part)


def _spellings(secret: str) -> Iterator[str]:
    """How it may stand in a text: as it is, as Python or JSON quote it, or in the address of something."""
    yield secret
    if not secret.isalnum():
        yield repr(secret)[1:-1]
        yield json.dumps(secret)[1:-1]
        yield quote(secret, safe="", errors="replace")


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


@lru_cache(maxsize=256)
def _places(definition: TaskDefinition | None, count: int, names: tuple[str, ...]) -> list[Named]:
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
