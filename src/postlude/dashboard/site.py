"""All that the pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from postlude.stores.gate import AuditLine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from postlude.api.access import Visitor
    from postlude.client.jobs import Jobs
    from postlude.client.timetable import Schedules
    from postlude.clock import Clock
    from postlude.dashboard.files import Files
    from postlude.dashboard.rendering import Pages
    from postlude.dashboard.together import Together
    from postlude.dashboard.tokens import Tokens
    from postlude.services.streams import Hub
    from postlude.stores.gate import GateStore
    from postlude.views import Views


class Site(NamedTuple):
    """What is looked at, what changes it, and what shows it."""

    views: Views
    jobs: Jobs
    schedules: Schedules
    hub: Hub
    tokens: Tokens
    clock: Clock
    files: Files
    pages: Pages
    gate: Callable[[], Awaitable[GateStore]]
    """Gives what keeps the audit log, opened in this process."""
    store: str
    """What tells the store from others."""
    together: Together
    """Reads what pages that follow the news show, once for all of them."""

    async def note(self, visitor: Visitor, action: str, target: str = "", **details: Any) -> None:
        """Write into the audit log who did what."""
        line = AuditLine.of(self.clock.now(), visitor.name, visitor.role, action, target, **details)
        await (await self.gate()).add_audit(line)
