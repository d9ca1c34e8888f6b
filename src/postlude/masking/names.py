"""Which names are those of secrets."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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

_COUNTED: Final = frozenset({"accesskey", "apikey", "card", "cookie", "credential", "password", "secret", "token"})
"""Of which there may be so many: `max_tokens` is no token, and `pins` may be one number after the other."""
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")
_OF_SUCH: Final = frozenset({"code", "no", "nr", "number", "value"})
"""What may stand behind the name of a secret, and a space: `card number`."""
_TELLING: Final = frozenset(
    {"declined", "denied", "error", "exception", "expired", "failed", "invalid", "missing", "rejected", "required"}
)
"""Last words of names behind which it is said what is wrong with a secret: `TokenError`."""


class Names:
    """Compares names word by word, whatever their case and whatever stands between the words.

    Args:
        names: those of secrets, beside `NAMES`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._hidden = frozenset(filter(None, ("".join(_words(name)) for name in (*NAMES, *names))))
        self._longest = max(map(len, self._hidden))
        self.hide: Callable[[str], bool] = lru_cache(maxsize=4096)(self._hide)
        """Whether a value with this name is secret."""
        self.count: Callable[[str], bool] = lru_cache(maxsize=1024)(self._count)
        """Whether a small number with this name, that of secrets, says how many there are: `tokens`, `card_count`."""

        self.tell: Callable[[str], bool] = lru_cache(maxsize=1024)(_tell)
        """Whether what stands behind this name in a text tells of a secret: `TokenError: it has expired`."""

    def may_be_in(self, text: str) -> bool:
        """Whether one of them may stand in a text; quickly."""
        joined = text.lower().replace("_", "").replace("-", "").replace(".", "").replace(" ", "")
        return any(name in joined for name in self._hidden)

    def hide_both(self, first: str, second: str) -> bool:
        """Whether two words are the name of a secret: `api key`, `card number`, and not `card accepted`."""
        joined = "".join(_words(f"{first} {second}"))
        return joined in self._hidden or (second.lower() in _OF_SUCH and self.hide(first))

    def _hide(self, name: str) -> bool:
        return any(True for _ in self._found(_words(name)))

    def _count(self, name: str) -> bool:
        words = _words(name)
        found, counted = {*self._found(words)}, words[-1:] == ["count"]
        return bool(found) and all(
            each.removesuffix("s") in _COUNTED and (counted or each not in self._hidden) for each in found
        )

    def _found(self, words: list[str]) -> Iterator[str]:
        """The names of secrets in these words, joined; several of a kind with their `s`."""
        for start in range(len(words)):
            joined = ""
            for word in words[start:]:
                joined += word
                if len(joined) > self._longest + 1:
                    break
                if joined in self._hidden or joined.removesuffix("s") in self._hidden:
                    yield joined


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _tell(name: str) -> bool:
    return _words(name)[-1] in _TELLING
