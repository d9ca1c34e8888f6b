"""How many attempts of a task may run at once, and how often one may start: what `max_running` and `rate` say."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
}
_RATE: Final = r"(\d+) */ *(\d*) *([a-z]+)"


class Rate(NamedTuple):
    """At most so many starts in any stretch of `seconds`."""

    starts: int
    seconds: float


class Limit(NamedTuple):
    """What holds for a task, or for each of its partitions by itself, in all processes together."""

    max_running: int | None = None
    rate: Rate | None = None


UNLIMITED: Final = Limit()


def rate_of(text: object) -> Rate | None:
    """The rate that "100/min", "5 / 10s" or "1/day" stands for; None if it stands for none."""
    match = re.fullmatch(_RATE, text.strip().lower()) if isinstance(text, str) else None
    if match is None:
        return None
    count, times, unit = int(match[1]), int(match[2] or 1), _SECONDS.get(match[3])
    return Rate(count, times * unit) if unit is not None and count > 0 and times > 0 else None
