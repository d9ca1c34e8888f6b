"""Durations as users write them: seconds as a number, or a `timedelta`."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, TypeAlias

from postlude.given import is_number

Duration: TypeAlias = float | timedelta
"""Seconds as a number, or a `timedelta`."""

LONGEST: Final = 100 * 365.25 * 86_400
"""Seconds. What is so far ahead is a mistake, and somewhat later there are no dates any more."""


def seconds_of(value: object) -> float | None:
    """The duration in seconds; None if it is none: negative, longer than a century, not finite, or of another type."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return float(value) if is_number(value) and 0 <= value <= LONGEST else None
