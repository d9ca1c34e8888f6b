"""What must not leave the reader: what is secret by its name, or by its type, is replaced in JSON and in text.

Used wherever arguments, results, failures and log lines are shown: in pages, answers, commands and exports alike.
"""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_type_hints, is_typeddict

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MASKED: Final = "[masked]"
"""What stands in the place of a secret."""

NAMES: Final = (
    "access_key",
    "api_key",
    "auth",
    "authorization",
    "bearer",
    "card",
    "cookie",
    "credential",
    "cvc",
    "cvv",
    "iban",
    "otp",
    "passphrase",
    "passwd",
    "password",
    "pin",
    "private_key",
    "pwd",
    "secret",
    "ssn",
    "token",
)
"""Names of values that are secret, whoever asks. `Postlude(mask=[...])` adds to them."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")
_NAME: Final = re.compile(r"""\b(?P<name>[A-Za-z_][\w.-]{0,63})["']?\s{0,8}[=:]\s{0,8}""")
_VALUE: Final = re.compile(
    r"""\[masked\]|"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&)}\]]+""",
    re.IGNORECASE,
)
_BEARER: Final = re.compile(r"(?P<before>\bbearer\s+)(?P<value>[\w.~+/=-]{8,})", re.IGNORECASE)
_IN_URL: Final = re.compile(r"(?P<before>://[^\s/:@]*:)(?P<value>[^\s/@]+)(?=@)")


class Secrets(NamedTuple):
    """What of a value is secret by its type: a field of pydantic's `SecretStr`, `SecretBytes` or `Secret[...]`."""

    whole: bool = False
    """All of it: it is one of those, or a collection of them."""
    names: frozenset[str] = frozenset()
    """The fields with these names, wherever they are in it."""


NO_SECRETS: Final = Secrets()


class Masking:
    """Replaces what is secret.

    Args:
        names: more names of secrets, beside `NAMES`. A name is compared word by word, whatever its case and whatever
            stands between the words: `api_key` hides `apiKey`, `X-Api-Key` and `stripe_api_keys`, and `card` does not
            hide `discard`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        hidden = [_words(name) for name in (*NAMES, *names)]
        self._hidden = frozenset("".join(words) for words in hidden if words)
        self._longest = max(map(len, self._hidden))
        self.hides: Callable[[str], bool] = lru_cache(maxsize=4096)(self._hides)
        """Whether a value with this name is secret."""

    def json(self, value: Any, secrets: Secrets = NO_SECRETS) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """A copy of a JSON value with `MASKED` in the place of what is secret; `null` stays, as it hides nothing.

        Args:
            value: what `json.loads` gives; also the forms of the codec, whose tags stay as they are.
            secrets: what is secret by its type: `secrets_in` of its annotation.
        """
        if secrets.whole:
            return None if value is None else MASKED
        if isinstance(value, list):
            return [self.json(item, secrets) for item in value]
        if not isinstance(value, dict):
            return value
        pairs = value.get("$dict")
        if len(value) == 1 and isinstance(pairs, list):
            # How a dict is written whose keys are no plain text.
            return {"$dict": [[key, self._named(key, item, secrets)] for key, item in pairs]}
        return {key: self._named(key, item, secrets) for key, item in value.items()}

    def text(self, text: str) -> str:
        """Free text, as of an exception or a log line, with `MASKED` for what stands behind the name of a secret.

        Also for the password in a URL, and for what follows `Bearer`. What a text says of a secret without naming it
        cannot be told from the rest.
        """
        text = _IN_URL.sub(rf"\g<before>{MASKED}", text)
        shown, end = "", 0
        for found in _NAME.finditer(text):
            if found.start() >= end and self.hides(found["name"]):
                value = _VALUE.match(text, found.end())
                if value is not None:
                    shown, end = f"{shown}{text[end : found.end()]}{MASKED}", value.end()
        return _BEARER.sub(rf"\g<before>{MASKED}", shown + text[end:])

    def _named(self, name: object, value: Any, secrets: Secrets) -> Any:  # noqa: ANN401
        if isinstance(name, str) and (name in secrets.names or self.hides(name)):
            return None if value is None else MASKED
        return self.json(value, secrets)

    def _hides(self, name: str) -> bool:
        words = _words(name)
        return any(
            joined in self._hidden or joined.removesuffix("s") in self._hidden
            for start in range(len(words))
            for joined in self._joined(words[start:])
        )

    def _joined(self, words: list[str]) -> Iterator[str]:
        joined = ""
        for word in words:
            joined += word
            if len(joined) > self._longest + 1:
                return
            yield joined


@lru_cache(maxsize=1024)
def secrets_in(annotation: Any) -> Secrets:  # noqa: ANN401 - an annotation is any object
    """What is secret by its type in a value with this annotation; models, dataclasses and typed dicts are looked into.

    Nothing for an annotation that cannot be looked into: the names still are masked.
    """
    names: set[str] = set()
    return Secrets(whole=_look(annotation, names, seen=set()), names=frozenset(names))


def _look(annotation: Any, names: set[str], seen: set[Any]) -> bool:  # noqa: ANN401
    """Add the names of secret fields; returns whether the value itself, or each of its items, is secret."""
    if isinstance(annotation, type) and hasattr(annotation, "get_secret_value"):
        return True
    parts = get_args(annotation)
    if parts:
        # Each of them, since each adds its names.
        return any([_look(part, names, seen) for part in parts])  # noqa: C419
    for field, its in _fields(annotation, seen):
        if _look(its, names, seen):
            names.update(field)
    return False


def _fields(kind: Any, seen: set[Any]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
    """The fields of a class with their annotations, each under its name and its aliases; once for each class."""
    if not isinstance(kind, type) or kind in seen:
        return
    seen.add(kind)
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            aliases = (field.alias, field.serialization_alias)
            yield (name, *(alias for alias in aliases if alias is not None)), field.annotation
    elif dataclasses.is_dataclass(kind) or is_typeddict(kind):
        try:
            hints = get_type_hints(kind, include_extras=True)
        except (NameError, TypeError):  # a name that only a type checker can see
            return
        for name, annotation in hints.items():
            yield (name,), annotation


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
