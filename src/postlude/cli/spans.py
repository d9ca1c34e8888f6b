"""Durations and moments as they are written on a command line: `90s`, `2h`, `1d12h`, `2026-11-23T06:00`."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from postlude.errors import UnknownValue

_SECONDS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?) *(s|min|m|h|d|w)")
_SPAN: Final = re.compile(rf"(?:{_PART.pattern} *)+")


def duration(text: str, option: str) -> float:
    """Seconds; a number alone is seconds, too.

    Args:
        text: such as `2h`, `90s`, `1d12h` or `90`.
        option: which it is of, for the message.

    Raises:
        UnknownValue: it is none.
    """
    seconds = _seconds(text)
    if seconds is None:
        message = f"{option}: expected a duration such as 90s, 10m, 2h or 1d12h, got {text!r}."
        raise UnknownValue(message)
    return seconds


def moment(text: str, option: str, now: float) -> float:
    """Seconds since the epoch, of a moment or of a duration that lies back from now.

    Args:
        text: such as `2h`, or a date and time as ISO 8601; in the zone of this machine where it names none.
        option: which it is of, for the message.
        now: seconds since the epoch.

    Raises:
        UnknownValue: it is neither.
    """
    seconds = _seconds(text)
    if seconds is not None:
        return now - seconds
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        message = f"{option}: expected how long ago, such as 2h, or a moment such as 2026-11-23T06:00, got {text!r}."
        raise UnknownValue(message) from None


def _seconds(text: str) -> float | None:
    text = text.strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not _SPAN.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
