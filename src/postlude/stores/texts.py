"""Small values as the texts that every store keeps: a later release may only add fields at the end."""

from __future__ import annotations

import json

from postlude.job import Failure, Progress


def dumps(value: Failure | Progress | None) -> str | None:
    """A small value as a JSON array of its fields."""
    return None if value is None else json.dumps(value, separators=(",", ":"))


def failure_of(text: str | None) -> Failure | None:
    """The failure that `dumps` wrote."""
    return None if text is None else Failure(*json.loads(text))


def progress_of(text: str | None) -> Progress | None:
    """The progress that `dumps` wrote."""
    return None if text is None else Progress(*json.loads(text))
