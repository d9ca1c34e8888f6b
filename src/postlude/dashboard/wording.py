"""Values as people read them: moments, durations, numbers, and JSON with its parts told apart."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from postlude.durations import UNITS, in_words

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_SHOWN: Final = 200_000
"""Characters of a text that a page shows at most: a browser takes seconds to lay out more."""

_PARTS: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)')


def span(seconds: float | None) -> str:
    """A length of time; a dash for None."""
    if seconds is None or not isfinite(seconds):
        return "–"
    return in_words(seconds)


def moment(seconds: float | None, now: float) -> Markup:
    """A moment by its distance from now, with the date for who points at it; a dash for None."""
    if seconds is None or not isfinite(seconds):
        return Markup("–")
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), f"{at:%Y-%m-%d %H:%M:%S} UTC", _distance(seconds - now)
    )


def _distance(ahead: float) -> str:
    length = abs(ahead)
    if length < 1:
        return "now"
    for size, unit in UNITS:
        if length >= size:
            text = f"{int(length // size)} {unit}"
            break
    return f"in {text}" if ahead > 0 else f"{text} ago"


def clock_time(seconds: float | None) -> Markup:
    """A moment by its time of day in UTC, to the millisecond."""
    if seconds is None:
        return Markup("–")
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"),
        f"{at:%Y-%m-%d %H:%M:%S} UTC",
        f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
    )


def date_time(seconds: float | None) -> Markup:
    """A moment by its date and time in UTC; a dash for None."""
    if seconds is None or not isfinite(seconds):
        return Markup("–")
    at = datetime.fromtimestamp(seconds, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="milliseconds"), f"{at:%Y-%m-%d %H:%M:%S} UTC"
    )


def number(value: float | None) -> str:
    """A number with its thousands apart; a dash for None."""
    return "–" if value is None else f"{value:,.15g}"


def percent(part: float, whole: float) -> str:
    """The share of a part, with as many digits as it needs: `0 %`, `0.4 %`, `12 %`; a dash if there is nothing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.1f} %" if 0 < share < 9.95 else f"{share:.0f} %"  # noqa: PLR2004 - rounded to 10


def json_text(value: Any) -> Markup:  # noqa: ANN401 - JSON
    """JSON, indented, with keys, texts and numbers told apart; cut where it is too long for a page."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    cut = len(text) - LONGEST_SHOWN
    shown, last = [], 0
    text = text[:LONGEST_SHOWN]
    for found in _PARTS.finditer(text):
        kind = "n" if found[3] or found[4] else "k" if found[2] else "s"
        shown += [
            escape(text[last : found.start()]),
            Markup('<span class="{}">{}</span>').format(kind, found[1] or found[0]),
            escape(found[2] or ""),
        ]
        last = found.end()
    shown.append(escape(text[last:]))
    if cut > 0:
        shown.append(escape(f"\n… and {cut:,} characters more"))
    return Markup("").join(shown)


def brief(value: Any, longest: int = 120) -> str:  # noqa: ANN401 - JSON
    """JSON on one line, cut to a number of characters."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def first_line(text: str | None, longest: int = 200) -> str:
    """The first line of a text that says something, cut to a number of characters."""
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
    return brief(line, longest)


def plural(count: float, one: str, many: str | None = None) -> str:
    """`1 job`, `2 jobs`, `10,000 jobs`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "brief": brief,
    "clock_time": clock_time,
    "date_time": date_time,
    "first_line": first_line,
    "json_text": json_text,
    "number": number,
    "plural": plural,
    "span": span,
}
"""What templates may do with a value; `moment` needs to know the time, and is given to each page."""
