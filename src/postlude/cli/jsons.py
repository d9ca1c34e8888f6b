"""What is read of a store, as JSON for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import Enum
from math import isfinite
from typing import Any, Final

from postlude.cli.printing import iso

MOMENTS: Final = frozenset(
    {
        "at",
        "created_at",
        "due_since",
        "ended_at",
        "expires_at",
        "finished_at",
        "gone_at",
        "last_moment",
        "next_at",
        "next_runs",
        "oldest_due",
        "reported_at",
        "run_at",
        "since",
        "started_at",
    }
)
"""Fields whose numbers are seconds since the epoch: ISO 8601 in UTC is what programs of any kind can read."""


def as_json(value: Any, name: str = "") -> Any:  # noqa: ANN401 - anything that is read, and what JSON has for it
    """A value as JSON has it: objects by their fields, moments as ISO 8601 in UTC.

    Args:
        value: of the read models, and of what those are made of.
        name: of the field that it stands in.
    """
    fields = _fields(value)
    if fields is not None:
        return {key: as_json(each, str(key)) for key, each in fields.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        each_of = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [as_json(each, name) for each in each_of]
    return _single(value, is_moment=name in MOMENTS)


def _single(value: Any, *, is_moment: bool) -> str | float | None:  # noqa: ANN401 - as above
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, float) and not isfinite(value):
        return None  # never: JSON has no word for it
    if isinstance(value, datetime) or (is_moment and isinstance(value, int | float)):
        return iso(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _fields(value: object) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        found: Mapping[Any, Any] = value._asdict()
        return found
    return None
