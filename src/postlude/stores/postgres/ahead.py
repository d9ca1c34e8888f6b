"""How far the database's clock is ahead of this machine's: several machines agree on what is due only by one clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from postlude.clock import machine_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from postlude.stores.postgres.session import Connection

SAMPLES: Final = 3
"""At an opening: the first one also waits until the statement is prepared."""
WORTH_A_WARNING: Final = 1.0
"""Seconds."""

_ASK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"


class Ahead:
    """What is known of it, and who goes by it. From any thread."""

    def __init__(self) -> None:
        self.seconds: float = 0.0
        """Negative: it is behind."""
        self._followers: dict[object, Callable[[float], None]] = {}
        self._guard = threading.Lock()

    def follow(self, who: object, told: Callable[[float], None]) -> None:
        """Have this called with the seconds from now on, whenever they change."""
        with self._guard:
            self._followers[who] = told
            if self.seconds:
                told(self.seconds)

    def leave(self, who: object) -> None:
        """Tell it nothing any more."""
        with self._guard:
            self._followers.pop(who, None)

    async def ask(self, connection: Connection) -> None:
        """Compare the two clocks."""
        for _ in range(SAMPLES):
            asked = machine_time()
            self.compare(asked, await connection.fetchval(_ASK), machine_time())

    def compare(self, asked: float, theirs: float, answered: float) -> None:
        """Learn from what the database said was its time.

        Args:
            asked: the machine's time before.
            theirs: the database's.
            answered: the machine's time after: theirs was read somewhere in between.
        """
        seconds = theirs - (asked + answered) / 2
        with self._guard:
            # What can be explained by the way there and back is no difference: the time must not tremble with it.
            if abs(seconds - self.seconds) > (answered - asked) / 2:
                self.seconds = seconds
                for told in self._followers.values():
                    told(seconds)

    def warning(self) -> str | None:
        """What somebody should know of it; None: it is small."""
        if abs(self.seconds) < WORTH_A_WARNING:
            return None
        where = "behind" if self.seconds > 0 else "ahead of"
        return (
            f"This machine's clock is {abs(self.seconds):.0f} s {where} the database's. Postlude goes by that one; the "
            "application's own code, and its logs, do not. Have both machines set by NTP."
        )
