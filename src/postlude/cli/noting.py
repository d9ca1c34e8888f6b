"""What is done from a terminal, in the audit log beside what is done elsewhere."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING, Any

from postlude.stores.gate import AuditLine

if TYPE_CHECKING:
    from postlude.cli.opened import Opened
    from postlude.stores.contract import Store


def me() -> str:
    """Who runs the command: the user of the operating system, and the machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


async def note(opened: Opened, action: str, target: object, **details: Any) -> None:
    """Write down that something was done; see `note_in`."""
    await note_in(opened.store, opened.clock.now(), action, target, **details)


async def note_in(store: Store, now: float, action: str, target: object, **details: Any) -> None:
    """Write down that something was done.

    Args:
        store: where.
        now: seconds since the epoch.
        action: what, in one word.
        target: to what: an id, a name, or how many and which.
        details: what else there is to say of it; None is left out.
    """
    await store.gate.add_audit(AuditLine.of(now, me(), "cli", action, str(target), **details))
