"""Durations as users write them: seconds as a number, or a `timedelta`."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import TypeAlias

Duration: TypeAlias = float | timedelta
"""Seconds as a number, or a `timedelta`."""


def seconds_of(value: object) -> float | None:
    """The duration in seconds; None if it is none: negative, not finite, or of another type."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value) or value < 0:
        return None
    return float(value)
