"""What processes tell each other of a store they share, as a protocol, with one clause of the contract.

Notifications
    41. **Hints.** What `notify` is given reaches those who `listen` to the same jobs in other processes, soon or not at
        all: nothing may rely on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Change: TypeAlias = Literal["cancelled", "paused", "queued"]
"""What may be worth a look now: somebody asked to cancel a job, something was paused or goes on, a job was queued."""


class NotificationStore(Protocol):
    """What processes tell each other, so that nobody has to wait for the next look."""

    def notify(self, change: Change) -> None:
        """Tell the other processes. Returns at once, and raises nothing; from any thread."""
        ...

    def listen(self, heard: Callable[[Change], None]) -> None:
        """Have this called with what others tell, on any thread, until the store is closed."""
        ...
