"""Durations as users write them: seconds as a number, or a `timedelta`."""

from __future__ import annotations

from datetime import timedelta
from sys import float_info
from typing import TypeAlias

from postlude.given import is_number

Duration: TypeAlias = float | timedelta
"""Seconds as a number, or a `timedelta`."""


def seconds_of(value: object) -> float | None:
    """The duration in seconds; None if it is none: negative, not finite, or of another type."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return float(value) if is_number(value) and 0 <= value <= float_info.max else None
