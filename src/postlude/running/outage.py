"""An executor that takes no work: when one attempt more is given to it, to see whether it does again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from postlude.clock import Clock

FIRST_WAIT: Final = 1.0
LAST_WAIT: Final = 30.0
"""Seconds between a failure and the next try: doubling from the first to the last. The last is also how long nobody
else is let in while one tries."""


class Outage:
    """From the first time that an executor took no work to the end of an attempt that it took.

    Args:
        clock: what time it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._elapsed = clock.elapsed
        self._wait = FIRST_WAIT
        self._failed_at = self._elapsed()
        self._until = self._failed_at + self._wait

    @property
    def lets_in(self) -> bool:
        """Whether one may try."""
        return self._elapsed() >= self._until

    def tries(self) -> None:
        """One tries, and the others wait for what comes of it."""
        self._until = self._elapsed() + LAST_WAIT

    def tried_not(self) -> None:
        """It came to no try: another may."""
        self._until = self._elapsed()

    def failed(self, began: float) -> None:
        """An attempt that was begun at that moment was not taken."""
        if self.is_newer(began):  # else it failed with those before it
            self._wait = min(2 * self._wait, LAST_WAIT)
            self._failed_at = self._elapsed()
            self._until = self._failed_at + self._wait

    def is_newer(self, began: float) -> bool:
        """Whether an attempt that was begun at that moment says something that is not known yet."""
        return began > self._failed_at
