"""Secrets that are known, looked for in texts: all at once, in the spellings in which a text may repeat them."""

from __future__ import annotations

import json
import re
from bisect import insort
from operator import neg
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from postlude.masking.texts import MASKED

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST: Final = 4
"""Letters of a secret that is looked for: shorter ones stand in too many words."""
_HEAD: Final = 64
"""Letters by which a longer one is found, so that of short ones no more sizes than that are tried at a place."""
_WORD: Final = re.compile(r"\w")


class Repeats:
    """Masks the secrets that it was told of wherever a text repeats them.

    What is looked up is the text, part by part, and not one secret after the other: so it takes time in proportion to
    the text, however many secrets there are, and to tell it of one costs nothing for those before.
    """

    def __init__(self) -> None:
        self._words: set[str] = set()
        self._numbers: set[str] = set()
        """Those that are masked only where they stand alone, and not in a longer number or a word."""
        self._sizes: dict[str, list[int]] = {}
        """By their first letters, the sizes that they have, the longest first."""
        self._letters: tuple[set[str], ...] = tuple(set() for _ in range(SHORTEST))
        """Those with which one begins; those that stand second, third and so on."""
        self._beginning: re.Pattern[str] | None = None
        """Of what may be one; None: that is not made yet."""

    def add(self, value: Any) -> None:  # noqa: ANN401 - JSON
        """Have a value masked: a text, a number, or all of those in a list or an object."""
        if isinstance(value, str):
            for spelled in _spellings(value):
                self._add(spelled, self._words)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._add(str(value), self._numbers)
        elif isinstance(value, list | dict):
            for part in value.values() if isinstance(value, dict) else value:
                self.add(part)

    def _add(self, secret: str, known: set[str]) -> None:
        if len(secret) < SHORTEST or secret in known:
            return
        known.add(secret)
        size = len(secret)
        sizes = self._sizes.setdefault(secret[: _HEAD if size > _HEAD else SHORTEST], [])
        if size not in sizes:
            insort(sizes, size, key=neg)
        for letters, letter in zip(self._letters, secret, strict=False):
            letters.add(letter)
        self._beginning = None

    def masked(self, text: str) -> str:
        """The text with `MASKED` in their place. Where one overlaps another, for both of them once."""
        if not self._sizes:
            return text
        if self._beginning is None:
            classes = ("".join(map(re.escape, sorted(letters))) for letters in self._letters)
            self._beginning = re.compile("".join(f"[{each}]" for each in classes))
        parts, end, at = list[str](), 0, 0
        while (found := self._beginning.search(text, at)) is not None:
            start, at = found.start(), found.start() + 1
            stop = start + self._size(text, start)
            if stop > start:
                if start >= end:
                    parts += (text[end:start], MASKED)
                end = max(end, stop)
        return "".join((*parts, text[end:]))

    def _size(self, text: str, at: int) -> int:
        """That of the longest one at a place of a text; 0: there is none."""
        for letters in (_HEAD, SHORTEST):
            for size in self._sizes.get(text[at : at + letters], ()):
                secret = text[at : at + size]
                if secret in self._words or (secret in self._numbers and _stands_alone(secret, text, at)):
                    return len(secret)
        return 0


def _stands_alone(number: str, text: str, at: int) -> bool:
    before = text[at - 1 : at]
    return not (before == "." or _WORD.match(before) or _WORD.match(text, at + len(number)))


def _spellings(secret: str) -> Iterator[str]:
    """How it may stand in a text: as it is, as Python or JSON quote it, or in the address of something."""
    yield secret
    if not (secret.isascii() and secret.isalnum()):
        yield repr(secret)[1:-1]
        yield json.dumps(secret)[1:-1]
        yield json.dumps(secret, ensure_ascii=False)[1:-1]
        yield quote(secret, errors="replace")
        yield quote(secret, safe="", errors="replace")
        yield quote_plus(secret, errors="replace")
