"""How long jobs are kept after their end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from postlude.durations import Duration, seconds_of
from postlude.given import is_number
from postlude.job import ENDS

if TYPE_CHECKING:
    from postlude.job import JobState

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Retention:
    """How long jobs are kept after their end, by how they ended; seconds, or a `timedelta`.

    The fields are named after the states.
    """

    succeeded: Duration = 1 * _DAY
    failed: Duration = 30 * _DAY
    cancelled: Duration = 30 * _DAY

    def seconds(self) -> dict[JobState, float]:
        """The same as seconds, by state."""
        return {state: seconds_of(getattr(self, state)) or 0.0 for state in ENDS}

    def wrong(self) -> bool:
        """Whether one of them is no duration."""
        return any(seconds_of(getattr(self, state)) is None for state in ENDS)


EXPECTED: Final = "seconds, 0 or more, a timedelta, or Retention(succeeded=, failed=, cancelled=)"


def retention_of(value: Duration | Retention) -> Retention | None:
    """What a setting or an option stands for: one duration counts for every end; None if it makes no sense."""
    if is_number(value) or isinstance(value, timedelta):
        value = Retention(value, value, value)
    return value if isinstance(value, Retention) and not value.wrong() else None
