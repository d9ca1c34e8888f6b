"""JSON with its secrets masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from postlude.masking.annotations import NO_SECRETS, Secrets, kinds_of, places_in, secrets_in
from postlude.masking.names import Names
from postlude.masking.texts import MASKED, is_number, masked_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_THROUGH: Final = frozenset({"$exact", "$fields", "$tuple", "$set", "$frozenset"})
"""What the codec has written around a value, or in the place of a list."""


class Masking:
    """Replaces what is secret.

    Args:
        names: more names of secrets, beside `NAMES`. A name is compared word by word, whatever its case and whatever
            stands between the words: `api_key` hides `apiKey`, `X-Api-Key` and `stripe_api_keys`, and `card` does not
            hide `discard`.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = Names(names)
        self.hides: Callable[[str], bool] = self._names.hide
        """Whether a value with this name is secret."""

    def json(
        self,
        value: Any,  # noqa: ANN401 - JSON in, JSON out
        secrets: Secrets = NO_SECRETS,
        *,
        text: Callable[[str], str] | None = None,
        hidden: Callable[[Any], object] | None = None,
    ) -> Any:  # noqa: ANN401
        """A copy of a JSON value with `MASKED` in the place of what is secret; `null` stays, as it hides nothing.

        Args:
            value: what `json.loads` gives; also the forms of the codec, whose tags stay as they are.
            secrets: what is secret by its type: `secrets_in` of its annotation.
            text: masks the texts in it, its keys among them; None: `Masking.text`.
            hidden: told each part that was masked.
        """
        names = secrets.names.union(*(each for each in secrets.together if any(map(self.hides, each))))
        walk = _Walk(self.hides_value, names, text or self.text, hidden or _nobody)
        if secrets.whole:
            return walk.mask(value)
        return walk.masked(value, () if secrets.places is None else kinds_of(secrets.places))

    def hides_value(self, name: str, value: Any) -> bool:  # noqa: ANN401 - JSON
        """Whether this value is secret with this name: a small number says how many `tokens` there are."""
        if not self._names.hide(name):
            return False
        is_plain = isinstance(value, int | float) and not isinstance(value, bool)
        return not (is_plain and self._names.count(name) and is_number(str(value)))

    def text(self, text: str) -> str:
        """Free text, as of an exception or a log line, with `MASKED` for what stands behind the name of a secret.

        Also for the password in a URL, for what follows `Bearer` or `Basic`, and for private keys.
        """
        return masked_text(text, self._names)


class _Walk:
    """Goes through one value."""

    def __init__(
        self,
        hides: Callable[[str, Any], bool],
        hidden: frozenset[str],
        text: Callable[[str], str],
        told: Callable[[Any], object],
    ) -> None:
        self._hides = hides
        self._hidden = hidden
        self._text = text
        self._told = told

    def mask(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        if value is None:
            return None
        self._told(value)
        return MASKED

    def masked(self, value: Any, kinds: Sequence[Any]) -> Any:  # noqa: ANN401 - JSON
        """The value, in which named tuples are known by its annotation: by any of those that it may be."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._object(value, kinds)
        if not isinstance(value, list):
            return value
        if not kinds:
            return [self.masked(item, ()) for item in value]
        return [self._placed(item, places_in(kinds, place, len(value))) for place, item in enumerate(value)]

    def _object(self, value: dict[str, Any], kinds: Sequence[Any]) -> dict[str, Any]:
        if len(value) == 1:
            ((tag, content),) = value.items()
            if tag in _THROUGH:
                return {tag: self.masked(content, kinds)}
            if tag == "$dict" and isinstance(content, list):
                # How a dict is written whose keys are no plain text.
                return {tag: [[self.masked(key, ()), self._named(key, item, kinds)] for key, item in content]}
        shown: dict[str, Any] = {}
        for key, item in value.items():  # in place of a comprehension, which would take one more frame for each level
            shown[self._text(key)] = self._named(key, item, kinds)
        return shown

    def _named(self, name: object, value: Any, kinds: Sequence[Any]) -> Any:  # noqa: ANN401
        if isinstance(name, str) and (name in self._hidden or self._hides(name, value)):
            return self.mask(value)
        if not kinds or not isinstance(name, str):
            return self.masked(value, ())
        return self._placed(value, places_in(kinds, name))

    def _placed(self, value: Any, places: Sequence[tuple[str | None, Any]]) -> Any:  # noqa: ANN401
        """A part of a list or of an object, with the names that the annotation has for it, and its own annotations."""
        inner: list[Any] = []
        for name, annotation in places:
            if secrets_in(annotation).whole or (name is not None and self._hides(name, value)):
                return self.mask(value)
            inner += kinds_of(annotation)
        return self.masked(value, inner)


def _nobody(_: object) -> None:
    """Nobody wants to know."""
