"""What processes tell each other over their direct connections: hints, of which any may be lost (clause 41)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, get_args

from postlude.stores.notifying import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import asyncpg

    from postlude.stores.postgres.session import Connection

NOT_AGAIN_FOR: Final = 0.01
"""Seconds after a notification in which what else there is to tell is gathered for the next one: each is a commit of
its own, and wakes every worker."""
_CHANGES: Final[tuple[Change, ...]] = get_args(Change)
# In one statement, which is one transaction: that a hint arrives is not worth waiting for a disk, or for a standby.
_NOTIFY: Final = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)"


def channel_of(schema: str, namespace: str) -> str:
    """Where those listen who share these tables; names of any length fit."""
    digest = hashlib.blake2b(f"{schema}\0{namespace}".encode(), digest_size=8).hexdigest()
    return f"postlude_{digest}"


class Notifications:
    """What is to be told to other processes, and who listens in this one."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._due: dict[Change, bool] = dict.fromkeys(_CHANGES, False)
        self._listeners: dict[object, Callable[[Change], None]] = {}
        self._listens: asyncpg.Connection | None = None
        """The connection on which LISTEN was said."""

    # From any thread

    def add(self, change: Change, teller: object) -> bool:
        """Something to tell; returns whether it was not waiting to be told already.

        Other listeners of this process hear it at once: what their own connection says they do not listen to.
        """
        for listener, heard in list(self._listeners.items()):
            if listener is not teller:
                heard(change)
        if self._due[change]:
            return False
        self._due[change] = True
        return True

    def listen(self, listener: object, heard: Callable[[Change], None]) -> None:
        """Have this called; one for each listener."""
        self._listeners[listener] = heard

    def leave(self, listener: object) -> None:
        """Tell it nothing any more."""
        self._listeners.pop(listener, None)

    # On the thread of the connection

    def taken(self) -> list[Change]:
        """What there is to tell, which is not due any more."""
        changes = [change for change in _CHANGES if self._due[change]]
        for change in changes:
            # Before it is told: what comes from now on may not be found by those who look for this one.
            self._due[change] = False
        return changes

    async def tell(self, connection: asyncpg.Connection, changes: Iterable[Change]) -> None:
        """Tell it to whoever listens."""
        await connection.execute(_NOTIFY, self._channel, ",".join(changes))

    async def attend(self, connection: asyncpg.Connection) -> None:
        """Hear what others tell from now on, if anybody here listens. What was told before has to be found."""
        if self._listeners and self._listens is not connection:
            await connection.add_listener(self._channel, self._hear)
            self._listens = connection

    def _hear(self, connection: Connection, pid: int, _: str, payload: object) -> None:
        if pid == connection.get_server_pid():
            return
        told = str(payload).split(",")  # a later release may tell more
        for change in _CHANGES:
            if change in told:
                for heard in list(self._listeners.values()):
                    heard(change)
