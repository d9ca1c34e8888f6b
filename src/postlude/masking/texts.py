"""Free text, such as the message of an exception or a log line, with its secrets masked.

A secret is what stands behind its name, in the ways in which programs write that down; and what stands where only a
secret can: the password in a URL, what follows `Bearer`. Every way takes time in proportion to the text, whatever that
is: expressions do not go back, and no bracket is looked for twice.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postlude.masking.names import Names

MASKED: Final = "[masked]"
"""What stands in the place of a secret."""

_ANYTHING: Final = re.compile(r"[=:\s]")
_ONE_NAME: Final = r"[^\W\d][\w.-]{0,63}+"
_NAME: Final = re.compile(
    rf"""
    # password=, "api_key": and \"api_key\": in JSON within JSON, card number:, pin ==, 'token' =>
    \b(?:(?P<first>[^\W\d]\w{{0,31}}+)[ ])?(?P<name>{_ONE_NAME})(?:\\{{0,8}}["'])?\s{{0,8}}!?[=:]{{1,3}}+>?\s{{0,8}}
    # (b'authorization', b'...'
    | \([bru]?(?P<quote>["'])(?P<pair>{_ONE_NAME})(?P=quote),[ ]?(?=[bru]?["'])
    # --password ... and '--password', '...'
    | (?<![\w-])--(?P<option>{_ONE_NAME})(?:["'],[ ]?(?=["'])|[ ](?=[^\s-]))
    """,
    re.VERBOSE,
)
_VALUE: Final = re.compile(
    r"""
    \[masked\]
    | [bru]{0,2}(?:"(?:[^"\\]|\\[\s\S])*+"?|'(?:[^'\\]|\\[\s\S])*+'?)
    # Quoted in a text that is itself quoted.
    | (?P<quote>\\{1,8}["'])(?:(?!(?P=quote))[\s\S])*+(?:(?P=quote))?
    # The number of a card or an account, in groups.
    | \d{3,6}(?:[ -]\d{3,6}){1,6}+
    | [a-z]{2}\d\d(?:[ ][a-z\d]{4}){2,7}+(?:[ ][a-z\d]{1,3}\b)?
    | (?:aws4-hmac-sha256|digest|hawk|oauth)[ ][^\r\n]*
    | (?:(?:basic|bearer|digest|token)\s{1,8})?[^\s,;&)}\]]+
    """,
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER: Final = re.compile(r"\d{1,7}(?:[.,]\d{1,3}){0,2}(?!\w|[ -]?\d|[.,]\d)")
"""So many of something."""
_COOKIES: Final = re.compile(r"[^\s=;,\"']{1,256}=[^\r\n]*")
"""What comes with the header, to the end of its line."""
_OPENS: Final = re.compile(rf"(?:{_ONE_NAME})?[\[({{]")
_BRACKET: Final = re.compile(r"""(?<!\w)[bru]{0,2}(?:"(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?)|[\[({\])}]""")
"""Or something quoted, in which brackets are none."""
_CLOSED_BY: Final = {"[": "]", "(": ")", "{": "}"}
_LINE: Final = re.compile(r"[^\r\n]*")
_NOTHING: Final = re.compile(r"(?:None|null)(?![\w-])")
_IN_URL: Final = re.compile(
    # Also where the text was cut off before the host: what is behind a host is a number.
    r"""(?P<before>://[^\s/:@\[]*+:)(?:[^\s/"'<>]+(?=@)|(?!\d++\W*+\Z)[^\s/"'<>@…]+(?=["'…]?\Z))"""
)
_BEARER: Final = re.compile(
    r"(?P<before>\bbearer\s{1,8})(?!(?:auth|credential|scheme|token)[a-z]*\b)(?P<value>[\w.~+/=-]{8,})", re.IGNORECASE
)
_BASIC: Final = re.compile(r"(?P<before>\bbasic\s{1,8})(?P<value>[\w+/]{4,}+={0,2})", re.IGNORECASE)
_KEY: Final = re.compile(r"-----BEGIN (?P<kind>[A-Z ]{0,40}PRIVATE KEY)-----[\s\S]*?(?:-----END (?P=kind)-----|\Z)")


def masked_text(text: str, names: Names) -> str:
    """The text with `MASKED` in the place of what is secret; what is masked already stays as it is.

    What a text says of a secret without naming it cannot be told from the rest.
    """
    if _ANYTHING.search(text) is None:
        return text
    if "-----BEGIN " in text:
        text = _KEY.sub(MASKED, text)
    if "://" in text:
        text = _IN_URL.sub(rf"\g<before>{MASKED}", text)
    if names.may_be_in(text):
        text = _Named(text, names).masked()
    lowered = text.lower()
    if "bearer" in lowered:
        text = _BEARER.sub(rf"\g<before>{MASKED}", text)
    if "basic" in lowered:
        text = _BASIC.sub(_without_password, text)
    return text


def is_number(text: str) -> bool:
    """Whether it may say how many there are of something."""
    return _NUMBER.fullmatch(text) is not None


class _Named:
    """A text, of which what stands behind the name of a secret is masked."""

    def __init__(self, text: str, names: Names) -> None:
        self._text = text
        self._names = names
        self._closed: dict[int, int] = {}
        """For each bracket that was looked at, by its place, the place behind the one that closes it."""
        self._looked = 0
        """All brackets before this place were looked at that matter."""

    def masked(self) -> str:
        text, parts, end = self._text, list[str](), 0
        for start, stop in self._secrets():
            parts += (text[end:start], MASKED)
            end = stop
        return "".join((*parts, text[end:]))

    def _secrets(self) -> Iterator[tuple[int, int]]:
        """From where to where each of them stands."""
        text, at = self._text, 0
        for line in _LINE.finditer(text):
            end = line.end()
            if end <= at or not self._names.may_be_in(line[0]):
                continue
            at = max(at, line.start())
            # A name is in one line, and what stands between it and its secret may go on in the next.
            while (found := _NAME.search(text, at, end + 8)) is not None and found.start() < end:
                at = found.end()
                behind = self._end(found) if self._hides(found) else None
                if behind is not None:
                    yield at, behind
                    at = behind

    def _hides(self, found: re.Match[str]) -> bool:
        name, first = found["name"] or found["pair"] or found["option"], found["first"]
        if self._names.hide(name):
            return not self._names.tell(name)
        return first is not None and self._names.hide_both(first, name)

    def _end(self, found: re.Match[str]) -> int | None:
        """Where the secret ends that stands behind a name; None: there is none."""
        text, start = self._text, found.end()
        name = found["name"] or ""
        if _NOTHING.match(text, start) or (self._names.count(name) and _NUMBER.match(text, start)):
            return None
        if name.lower().rstrip("s").endswith("cookie") and (cookies := _COOKIES.match(text, start)):
            return cookies.end()
        opened = None if text.startswith(MASKED, start) else _OPENS.match(text, start)
        if opened is not None:
            closed = self._closing(opened.end() - 1)
            if closed is not None:
                return closed
            if opened.end() == start + 1:  # not a name before it, which is all of the value then
                return _to_end_of(_LINE, text, start)
        return _to_end_of(_VALUE, text, start)

    def _closing(self, at: int) -> int | None:
        """The place behind the bracket that closes the one at this place; None: none does."""
        if at >= self._looked:
            self._look(at)
        return self._closed.get(at)

    def _look(self, start: int) -> None:
        """See which brackets are closed where, until the first one is."""
        opened: list[tuple[int, str]] = []
        for found in _BRACKET.finditer(self._text, start):
            bracket = found[0]
            if bracket in _CLOSED_BY:
                opened.append((found.start(), _CLOSED_BY[bracket]))
            elif opened and bracket == opened[-1][1]:
                self._closed[opened.pop()[0]] = self._looked = found.end()
                if not opened:
                    return
        self._looked = len(self._text)


def _to_end_of(expression: re.Pattern[str], text: str, start: int) -> int | None:
    found = expression.match(text, start)
    return None if found is None or found.end() == start else found.end()


def _without_password(found: re.Match[str]) -> str:
    """What was found, masked if it is a name and a password."""
    try:
        is_secret = b":" in b64decode(found["value"], validate=True)
    except Error:
        is_secret = False
    return f"{found['before']}{MASKED}" if is_secret else found[0]
