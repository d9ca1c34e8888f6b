"""Durations: as users write them, seconds as a number or a `timedelta`; and as they are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, TypeAlias

from postlude.given import is_number

Duration: TypeAlias = float | timedelta
"""Seconds as a number, or a `timedelta`."""

LONGEST: Final = 100 * 365.25 * 86_400
"""Seconds. What is so far ahead is a mistake, and somewhat later there are no dates any more."""
UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""Each with its length in seconds, the longest first."""


def seconds_of(value: object) -> float | None:
    """The duration in seconds; None if it is none: negative, longer than a century, not finite, or of another type."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return float(value) if is_number(value) and 0 <= value <= LONGEST else None


def in_words(seconds: float) -> str:
    """A length of time in its two largest units: `99 ms`, `2.4 s`, `3 min 12 s`."""
    seconds = max(0.0, seconds)
    if 0 < seconds < 0.0001:  # noqa: PLR2004 - nobody wants to know it more exactly
        return "< 0.1 ms"
    if seconds < 0.0995:  # noqa: PLR2004 - from here on it would be rounded to 0.10 s
        return f"{seconds * 1000:.2g} ms" if seconds < 0.00995 else f"{seconds * 1000:.0f} ms"  # noqa: PLR2004
    if seconds < 9.95:  # noqa: PLR2004 - from here on it would be rounded to 10.0 s
        return f"{seconds:.2g} s"
    whole = round(seconds)
    for place, (size, unit) in enumerate(UNITS):
        count, rest = divmod(whole, size)
        if count:
            below = UNITS[place + 1 :]
            smaller = rest // below[0][0] if below else 0
            return f"{count} {unit}" + (f" {smaller} {below[0][1]}" if smaller else "")
    return f"{whole} s"
